//! Who is asking.
//!
//! In: `Exchange<Admitted>`. Out: `Exchange<Identified>`.
//! Refuses: `Credential` with the reason that a client may know.
//! Never: logs a token, reads a claim that is not yet verified, lets the client's credential travel on unless a rule says so.

pub mod bearer;

use std::sync::Arc;
use std::time::Instant;

use contract::caller::Caller;
use contract::reason::Reason;
use http::{HeaderValue, header};
use identity::cache::TokenCache;
use identity::issuers::Issuers;
use wire::exchange::Exchange;

use crate::ask::{Ask, Rule};
use crate::docket::Docket;
use crate::facts::{Admitted, Identified};
use crate::refusal::Refusal;

/// What the room needs, per generation.
#[derive(Debug)]
pub struct Authenticate {
    issuers: Arc<Issuers>,
    anonymous: Arc<Caller>,
}

impl Authenticate {
    /// Issuers that were started. The anonymous caller stays the one it was, so that what is known of it stays known.
    #[must_use]
    pub fn after(before: Option<&Self>, issuers: Arc<Issuers>) -> Self {
        let anonymous = before.map_or_else(|| Arc::new(Caller::anonymous()), |before| before.anonymous.clone());
        Self { issuers, anonymous }
    }

    /// Establishes who is asking.
    ///
    /// # Errors
    /// The rule requires a caller and none was proved.
    pub async fn identify(
        &self,
        cache: &TokenCache,
        exchange: Exchange<Admitted>,
        now: u64,
        docket: &mut Docket,
    ) -> Result<Exchange<Identified>, Refusal> {
        let rule = exchange.known.rule().clone();
        let (caller, mut exchange) = match rule.ask {
            Ask::Anonymous => (self.anonymous.clone(), exchange),
            Ask::Require => {
                let begun = Instant::now();
                let proved = self.prove(cache, &exchange, &rule, now).await;
                docket.authentication = Some(begun.elapsed());
                (proved.map_err(Refusal::Credential)?, exchange)
            }
        };
        docket.caller = Some(caller.clone());
        let credential = exchange.request.headers_mut().remove(header::AUTHORIZATION);
        let relay: Option<HeaderValue> = credential.filter(|_| rule.relay);
        Ok(exchange.learn(|admitted| Identified::new(admitted, caller, relay)))
    }

    async fn prove(&self, cache: &TokenCache, exchange: &Exchange<Admitted>, rule: &Rule, now: u64) -> Result<Arc<Caller>, Reason> {
        let token = bearer::token(exchange.request.headers())?.ok_or(Reason::NoCredentials)?;
        self.issuers.authenticate(cache, token, &rule.issuers, now).await
    }
}
