//! The demo of the README, on shifted ports.
