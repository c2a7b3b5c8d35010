//! Passwords: argon2id (RFC 9106) with the parameters that OWASP names first for it: 19 MiB, two passes, one lane.
//!
//! The trap is the clock: a name that nobody has must take as long as one that somebody has, or names can be found out. So there
//! is always something to verify against.

use super::problem::Problem;
use super::state::blocking;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use std::sync::OnceLock;
use tidegate_model::Secret;
use tokio::sync::Semaphore;

/// Fewest characters of a password.
pub(crate) const MIN_CHARS: usize = 12;
/// Most bytes of a password.
const MAX_BYTES: usize = 1024;
/// Passwords that are worked on at once: each takes 19 MiB and some 20 ms of a core.
const AT_ONCE: usize = 2;

/// Works on passwords.
#[derive(Debug)]
pub(crate) struct Passwords {
    seats: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { seats: Semaphore::new(AT_ONCE) }
    }
}

impl Passwords {
    /// The hash of a new password, in PHC form, if the password is one that may be chosen.
    pub(crate) async fn hash(&self, user: &str, password: Secret) -> Result<Secret, Problem> {
        let (chars, bytes) = (password.expose().chars().count(), password.expose().len());
        if chars < MIN_CHARS {
            return Err(Problem::invalid(format_args!(
                "password: expected {MIN_CHARS} characters or more, this one has {chars}"
            )));
        }
        if bytes > MAX_BYTES {
            return Err(Problem::invalid(format_args!("password: at most {MAX_BYTES} bytes, this one has {bytes}")));
        }
        if password.expose().eq_ignore_ascii_case(user) {
            return Err(Problem::invalid("password: expected something else than the user name"));
        }
        let _seat = self.seats.acquire().await.map_err(Problem::internal)?;
        blocking(move || hash(&password)).await?
    }

    /// Whether a password is the one of the hash. Without a hash it is not, after the same time.
    pub(crate) async fn fits(&self, password: Secret, hash: Option<Secret>) -> Result<bool, Problem> {
        if password.expose().len() > MAX_BYTES {
            return Ok(false);
        }
        let _seat = self.seats.acquire().await.map_err(Problem::internal)?;
        blocking(move || {
            let known = hash.is_some();
            let hash = match hash {
                Some(hash) => hash,
                None => nobodys()?,
            };
            let parsed = PasswordHash::new(hash.expose()).map_err(Problem::internal)?;
            Ok(Argon2::default().verify_password(password.expose().as_bytes(), &parsed).is_ok() && known)
        })
        .await?
    }
}

fn hash(password: &Secret) -> Result<Secret, Problem> {
    let hash = Argon2::default().hash_password(password.expose().as_bytes()).map_err(Problem::internal)?;
    Ok(Secret::new(hash.to_string()))
}

/// A hash like any other, for names that nobody has.
fn nobodys() -> Result<Secret, Problem> {
    static HASH: OnceLock<Secret> = OnceLock::new();
    if let Some(hash) = HASH.get() {
        return Ok(hash.clone());
    }
    let made = hash(&Secret::new("a password that opens nothing".to_owned()))?;
    Ok(HASH.get_or_init(|| made).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_which_is_argon2id_with_the_parameters_of_today() {
        let passwords = Passwords::default();
        let hash = passwords.hash("ada", secret("correct horse")).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
        assert!(passwords.fits(secret("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.fits(secret("correct horsf"), Some(hash)).await.unwrap());
        assert!(!passwords.fits(secret("a password that opens nothing"), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_password_that_is_too_short_too_long_or_the_name_is_refused_with_the_figure() {
        let passwords = Passwords::default();
        for (password, part) in [
            ("elevenchars".to_owned(), "expected 12 characters or more, this one has 11"),
            ("x".repeat(1025), "at most 1024 bytes, this one has 1025"),
            ("ADA-lovelace".to_owned(), "something else than the user name"),
        ] {
            let told = passwords.hash("ada-Lovelace", secret(&password)).await.unwrap_err();
            assert!(told.detail().contains(part) && !told.detail().contains(&password), "{}", told.detail());
        }
    }
}
