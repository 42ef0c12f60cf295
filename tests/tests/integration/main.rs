//! The one integration binary: one process, one link step, every test a sentence.

mod access;
mod channel;
mod cli;
mod convergence;
mod damage;
mod devices;
mod edges;
mod guard;
mod hostile;
mod http;
mod kill;
mod kill_files;
mod listen;
mod loadtest;
mod memory;
mod network;
mod stock;
mod stored;
mod telemetry;
mod tidy;
mod webhooks;
mod wire;
