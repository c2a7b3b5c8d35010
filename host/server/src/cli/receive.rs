//! `tidegate receive`.

use super::{CliError, Output, Signals};
use crate::receiver::{Received, Receiver};
use clap::Args;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::sync::mpsc;

/// Arguments of `receive`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  Stand in for InfluxDB, then point a store at http://127.0.0.1:8086:
      tidegate receive --listen 127.0.0.1:8086

  Take Graphite's plaintext lines too:
      tidegate receive --tcp 127.0.0.1:2003

POST /write and /api/v2/write are answered 204 as InfluxDB does, everything else 200.
The host reaches loopback addresses only if it was started with --allow-egress 127.0.0.0/8.")]
pub struct ReceiveArgs {
    /// Where to take HTTP requests; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8086")]
    pub listen: SocketAddr,
    /// Where to take lines over TCP as well.
    #[arg(long, value_name = "ADDR")]
    pub tcp: Option<SocketAddr>,
    /// Most lines to show of each push.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub lines: usize,
}

pub(crate) async fn run(args: ReceiveArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let mut signals = Signals::listen()?;
    let (seen, mut shown) = mpsc::channel(256);
    let receiver = Receiver::start(args.listen, args.tcp, seen).await;
    let receiver = receiver.map_err(|e| CliError::failed(&format!("cannot listen on {}", args.listen), e))?;
    out.note(format_args!("listening on http://{}; end with Ctrl-C", receiver.http));
    if let Some(tcp) = receiver.tcp {
        out.note(format_args!("listening on {tcp} (TCP)"));
    }
    loop {
        tokio::select! {
            what = shown.recv() => match what {
                Some(what) => show(out, &what, args.lines)?,
                None => break,
            },
            () = signals.next() => break,
        }
    }
    let (requests, lines, bytes) = receiver.counts();
    out.note(format_args!("{requests} requests, {lines} lines, {bytes} bytes; {} not shown", receiver.not_shown()));
    Ok(ExitCode::SUCCESS)
}

fn show(out: &mut Output, what: &Received, most: usize) -> Result<(), CliError> {
    match what {
        Received::Line(line) => out.line(printable(line)),
        Received::Http { method, path, headers, body, line_protocol } => {
            out.line(format_args!("{} {} ({} bytes)", method, printable(path), body.len()))?;
            if !line_protocol {
                for (name, value) in headers {
                    out.line(format_args!("  {name}: {}", printable(value)))?;
                }
            }
            let text = String::from_utf8_lossy(body);
            let lines: Vec<&str> = text.lines().collect();
            for line in lines.iter().take(most) {
                out.line(format_args!("  {}", printable(line)))?;
            }
            match lines.len().saturating_sub(most) {
                0 => Ok(()),
                more => out.line(format_args!("  … and {more} lines more")),
            }
        }
    }
}

/// Text without control characters, which could rewrite what is on the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;

    fn shown(what: &Received) -> String {
        let captured = Captured::default();
        show(&mut captured.output(), what, 2).unwrap();
        captured.text()
    }

    #[test]
    fn a_push_is_shown_with_its_first_lines_and_the_number_of_the_others() {
        let what = Received::Http {
            method: "POST".to_owned(),
            path: "/write?db=m".to_owned(),
            headers: vec![("accept".to_owned(), "*/*".to_owned())],
            body: b"a\nb\nc\nd\n".to_vec(),
            line_protocol: true,
        };
        assert_eq!(shown(&what), "POST /write?db=m (8 bytes)\n  a\n  b\n  … and 2 lines more\n");
    }

    #[test]
    fn what_arrives_cannot_control_the_terminal() {
        assert_eq!(shown(&Received::Line("a\u{1b}[2Jb".to_owned())), "a\u{fffd}[2Jb\n");
    }
}
