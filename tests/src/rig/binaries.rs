//! Where the tiers' executables lie: what Cargo built for this test, never what happens to lie in `target/`.

/// The paths that Cargo gives to integration tests.
#[derive(Clone, Copy, Debug)]
pub struct Binaries {
    /// `env!("CARGO_BIN_EXE_rig-security-gw")`.
    pub security: &'static str,
    /// `env!("CARGO_BIN_EXE_rig-routing-gw")`.
    pub routing: &'static str,
    /// `env!("CARGO_BIN_EXE_rig-gwctl")`.
    pub gwctl: &'static str,
}
