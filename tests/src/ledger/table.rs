//! The account as a table for people.

use std::fmt;

use crate::ledger::account::Account;
use crate::ledger::entries::Kind;
use crate::ledger::fault::Fault;

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:24}", "")?;
        for kind in Kind::ALL {
            write!(f, "{:>9}", format!("{kind:?}"))?;
        }
        writeln!(f)?;
        row(f, "sent", |kind| self.sent.get(&kind).copied().unwrap_or_default())?;
        row(f, "answered", |kind| self.answered.get(&kind).copied().unwrap_or_default())?;
        for fault in Fault::ALL {
            if self.of(fault).any(|deviation| deviation.kind.is_some()) {
                row(f, fault.name(), |kind| self.of(fault).filter(|deviation| deviation.kind == Some(kind)).count())?;
            }
            let nobodys = self.of(fault).filter(|deviation| deviation.kind.is_none()).count();
            if nobodys > 0 {
                writeln!(f, "{:24}{nobodys:>9}", fault.name())?;
            }
        }
        for ((kind, reason), count) in &self.refused {
            writeln!(f, "  refused {kind:?}: {count} with {reason}")?;
        }
        if self.of(Fault::RecordUnflushed).next().is_some() {
            writeln!(f, "records were lost of answers up to {:?} before a kill", self.unflushed_for)?;
        }
        writeln!(f, "{} executions, {} idempotent requests repeated, {} access records", self.executed, self.repeated, self.recorded)
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, count: impl Fn(Kind) -> usize) -> fmt::Result {
    write!(f, "{name:24}")?;
    for kind in Kind::ALL {
        write!(f, "{:>9}", count(kind))?;
    }
    writeln!(f)
}
