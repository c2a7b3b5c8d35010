//! `tidegate user`.

use super::client::{ApiClient, AskArgs};
use super::login::ask_secret;
use super::store::{moment, text};
use super::{CliError, Output};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use std::process::ExitCode;

/// Commands about users.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  tidegate user add ada --operator
  tidegate user add bob --role web=viewer --role shop=admin
  tidegate user role bob --role admin                  in all projects of the tenant
  tidegate user password bob < new-password.txt
  tidegate user remove bob

Roles: viewer sees what is exported, member explores events, too, admin defines what is exported.")]
pub enum UserCommand {
    /// The users and their roles.
    List(AskArgs),
    /// Make a user; asks for the password, or reads it from standard input.
    Add(AddArgs),
    /// Give a user another password, which signs them out everywhere.
    Password(OneArgs),
    /// Give a user these roles in the tenant, and no others there.
    Role(RoleArgs),
    /// Say whether a user runs the host.
    Operator(OperatorArgs),
    /// Remove a user.
    Remove(OneArgs),
}

/// A user.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// The user.
    #[arg(value_name = "USER")]
    pub user: String,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `user add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Their name.
    #[arg(value_name = "USER")]
    pub user: String,
    /// They run the host: they may do everything.
    #[arg(long)]
    pub operator: bool,
    /// What they may do: PROJECT=ROLE, or ROLE for all projects of the tenant; repeatable.
    #[arg(long, value_name = "[PROJECT=]ROLE", value_parser = role)]
    pub role: Vec<(Option<String>, RoleWord)>,
    /// Make the account without a password, so that nobody can sign in yet.
    #[arg(long)]
    pub no_password: bool,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `user role`.
#[derive(Debug, Args)]
pub struct RoleArgs {
    /// The user.
    #[arg(value_name = "USER")]
    pub user: String,
    /// PROJECT=ROLE, or ROLE for all projects of the tenant; repeatable.
    #[arg(long, value_name = "[PROJECT=]ROLE", value_parser = role, required_unless_present = "none")]
    pub role: Vec<(Option<String>, RoleWord)>,
    /// Take all roles in the tenant.
    #[arg(long, conflicts_with = "role")]
    pub none: bool,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `user operator`.
#[derive(Debug, Args)]
pub struct OperatorArgs {
    /// The user.
    #[arg(value_name = "USER")]
    pub user: String,
    /// Whether they run the host.
    #[arg(value_name = "yes|no", value_enum)]
    pub operator: Answer,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Answer {
    /// They run the host.
    Yes,
    /// They do not.
    No,
}

/// The roles, as they are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleWord {
    /// Sees what is exported and how it goes.
    Viewer,
    /// Explores the events, too.
    Member,
    /// Defines what is exported.
    Admin,
}

impl RoleWord {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

/// The role stands behind the last `=`, since a project may have one in its name.
fn role(text: &str) -> Result<(Option<String>, RoleWord), String> {
    let (project, word) = match text.rsplit_once('=') {
        Some((project, word)) => (Some(project.to_owned()), word),
        None => (None, text),
    };
    let role = RoleWord::from_str(word, false).map_err(|_| {
        format!("{word:?} is no role; expected viewer, member or admin, or PROJECT=ROLE, for example web=viewer")
    })?;
    Ok((project, role))
}

fn roles_json(roles: &[(Option<String>, RoleWord)]) -> Json {
    roles.iter().map(|(project, role)| json!({"project": project, "role": role.word()})).collect::<Vec<_>>().into()
}

pub(crate) async fn run(command: UserCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    match command {
        UserCommand::List(args) => {
            let answer = ApiClient::new(&args.server)?.list(&["users"], "users").await?;
            out.show(args.json, &answer, list)?;
        }
        UserCommand::Add(args) => {
            let client = ApiClient::new(&args.ask.server)?;
            let password = match args.no_password {
                true => Json::Null,
                false => json!(ask_secret(out, &format!("Password of {}: ", args.user))?.expose()),
            };
            let body = json!({"name": args.user, "password": password, "operator": args.operator, "roles": roles_json(&args.role)});
            let answer = client.post(&["users"], &[], &body).await?;
            out.done(args.ask.json, &answer, format_args!("{} is made: {}", args.user, rights(&answer)))?;
        }
        UserCommand::Password(args) => {
            let client = ApiClient::new(&args.ask.server)?;
            let password = ask_secret(out, &format!("New password of {}: ", args.user))?;
            client.put(&["users", &args.user, "password"], &json!({"password": password.expose()})).await?;
            let told = format!("{} has another password and is signed out everywhere", args.user);
            out.done(args.ask.json, &json!({"user": args.user, "done": "password"}), told)?;
        }
        UserCommand::Role(args) => {
            let body = json!({"roles": roles_json(&args.role)});
            let answer = ApiClient::new(&args.ask.server)?.put(&["users", &args.user, "roles"], &body).await?;
            out.done(args.ask.json, &answer, format_args!("{}: {}", args.user, rights(&answer)))?;
        }
        UserCommand::Operator(args) => {
            let body = json!({"operator": args.operator == Answer::Yes});
            let user = ApiClient::new(&args.ask.server)?.put(&["users", &args.user], &body).await?;
            out.done(args.ask.json, &user, format_args!("{}: {}", args.user, rights(&user)))?;
        }
        UserCommand::Remove(args) => {
            ApiClient::new(&args.ask.server)?.delete(&["users", &args.user], &[]).await?;
            out.done(args.ask.json, &json!({"removed": args.user}), format_args!("{} is removed", args.user))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a user may do, in one line.
fn rights(user: &Json) -> String {
    let role = |role: &Json| {
        let place = [&role["tenant"], &role["project"]].into_iter().filter_map(Json::as_str).collect::<Vec<_>>();
        format!("{} in {}", text(&role["role"]), place.join("/"))
    };
    let mut all: Vec<String> = user["roles"].as_array().into_iter().flatten().map(role).collect();
    if user["operator"] == Json::Bool(true) {
        all.insert(0, "operator of the host".to_owned());
    }
    if all.is_empty() { "no role".to_owned() } else { all.join(", ") }
}

fn list(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let users = answer["users"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |user: &Json| {
        let signs_in = if user["can_sign_in"] == Json::Bool(true) { "yes" } else { "no password" };
        vec![text(&user["name"]), signs_in.to_owned(), moment(&user["created"]), rights(user)]
    };
    let head = ["user", "signs in", "created", "may"];
    out.table(
        &head,
        users.iter().map(row).collect(),
        "There are no users; `tidegate user add NAME --operator` makes one.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;

    #[test]
    fn a_role_is_for_one_project_or_for_all_and_what_is_none_is_told() {
        assert_eq!(role("admin"), Ok((None, RoleWord::Admin)));
        assert_eq!(role("a=b=viewer"), Ok((Some("a=b".to_owned()), RoleWord::Viewer)));
        assert!(role("web=boss").unwrap_err().contains("viewer, member or admin"));
    }

    #[test]
    fn users_are_listed_with_what_they_may() {
        let captured = Captured::default();
        let roles = json!([{"tenant": "default", "project": "web", "role": "viewer"}, {"tenant": "acme", "project": null, "role": "admin"}]);
        let bob = json!({"name": "bob", "operator": false, "can_sign_in": false, "created": 0, "roles": roles});
        let ada = json!({"name": "ada", "operator": true, "can_sign_in": true, "created": 0, "roles": []});
        list(&mut captured.output(), &json!({"users": [ada, bob]})).unwrap();
        let told = captured.text();
        assert!(
            told.contains("operator of the host") && told.contains("viewer in default/web, admin in acme"),
            "{told}"
        );
        assert!(told.contains("no password"), "{told}");
    }
}
