//! The end to end tests, one file for each behaviour. `tests/README.md` says how to run one of them.

mod alerts;
mod api;
mod checks;
mod circonus;
mod clients;
mod console;
mod datadog;
mod demo;
mod dependencies;
mod egress;
mod grafana;
mod graphite;
mod hostile;
mod influxdb;
mod kill;
mod operate;
mod prometheus;
mod queries;
mod restart;
mod secrets;
mod servers;
mod tls;
mod versions;
mod world;
