//! Writes each window as lines of InfluxDB's line protocol. For crates that want the standard library to have a system under it.

use tidegate_adapter::{
    Batch, CredentialSlot, Endpoint, PushAdapter, Request, Requests, Settings, Verdict, export_push,
};

/// What the admin fills in.
#[derive(Settings)]
pub struct LinesSettings {
    #[setting(label = "URL", help = "Address of the server")]
    url: Endpoint,
    #[setting(label = "Database", help = "It has to exist")]
    database: String,
    #[setting(label = "User", help = "If the server asks for one")]
    user: Option<CredentialSlot>,
    #[setting(label = "Password", help = "Of that user", secret)]
    password: Option<CredentialSlot>,
}

/// The adapter.
pub struct Lines;

impl PushAdapter for Lines {
    type Settings = LinesSettings;

    fn encode(settings: &LinesSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        let mut request = Request::post(&settings.url);
        request.path("/write").query("db", &settings.database).query("precision", "s");
        if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
            request.basic_auth(user, password);
        }
        let common = format!(",metric_set={},project={}", key(&batch.metric_set()), key(&batch.project()));
        for metric in batch.metrics() {
            let head = format!("{}{common}", escaped(metric.name(), &[',', ' ']));
            for row in metric.columns().live() {
                let fields: Vec<String> = row
                    .values()
                    .map(|(measure, value)| {
                        format!("{}={value}", key(&format!("{}_{}", measure.aggregate, measure.attribute)))
                    })
                    .collect();
                if fields.is_empty() {
                    continue;
                }
                // An empty label means that there is no value.
                let labels = row.labels().filter(|(_, label)| !label.is_empty());
                let tags: String = labels.map(|(name, label)| format!(",{}={}", key(name), key(label))).collect();
                request.body().text(&format!("{head}{tags} {} {}\n", fields.join(","), batch.window_end()));
                request.carries(&metric, row.index());
            }
        }
        if request.body().is_empty() {
            // This goes to the host's log.
            println!("nothing to send for the window that ends at {}", batch.window_end());
        } else {
            requests.send(request);
        }
        Ok(())
    }
}

fn key(text: &str) -> String {
    escaped(text, &[',', '=', ' '])
}

/// A line break has no escape, and a backslash before a separator would swallow it.
fn escaped(text: &str, separators: &[char]) -> String {
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek().is_none_or(|next| ",= ".contains(*next) || next.is_control()) => out.push_str("\\_"),
            '\n' => out.push_str("\\n"),
            other if other.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(other))),
            other => {
                if separators.contains(&other) {
                    out.push('\\');
                }
                out.push(other);
            }
        }
    }
    out
}

export_push!(Lines);
