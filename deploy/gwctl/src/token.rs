//! `gwctl token`: an access token of the running demo.
//!
//! In: a demo user's name. Out: the token on stdout, alone on its line. Refuses: what the issuer refuses. Never: writes
//! the token anywhere else.

use std::path::Path;
use std::process::ExitCode;

use http::Method;
use serde_json::Value;

use crate::demo::ask::ask;
use crate::demo::place::Place;
use crate::fault::Fault;
use crate::stage::issuer::USERS;
use crate::stage::process::on_runtime;
use crate::terminal::say;

/// Asks the issuer of the demo in `dir` for a token of `user`, and prints it.
///
/// # Errors
/// When no demo runs there, or its issuer does not know the user.
pub fn print(dir: &Path, user: &str) -> Result<ExitCode, Fault> {
    let known = USERS.map(|user| user.name);
    if !known.contains(&user) {
        return Err(Fault::new(format!("the demo has no user {user:?}"), format!("use --user {}", known.join(" or "))));
    }
    let ports = Place::existing(dir)?.ports()?;
    on_runtime(async move {
        let remedy = "start the demo: gwctl demo, or name its folder with --dir";
        let form = Some(("application/x-www-form-urlencoded", format!("username={user}")));
        let (status, body) =
            ask(ports.issuer(), Method::POST, "/token", form).await.map_err(|why| Fault::new(format!("the issuer: {why}"), remedy))?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        match answer["access_token"].as_str() {
            Some(token) => say(token),
            None => return Err(Fault::new(format!("the issuer answered {status} without a token"), remedy)),
        }
        Ok(())
    })
}
