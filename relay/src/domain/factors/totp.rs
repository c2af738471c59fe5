//! Codes of six digits that an app makes every 30 s (RFC 6238).

use nightjar_shared::{audit::Action, ids::AccountId, time::UnixMillis};
use serde::Serialize;
use totp_rs::{Builder, Totp};
use utoipa::ToSchema;

use super::set_up::{self, SetUp};
use crate::{
    app::App,
    domain::{
        access::Caller,
        audit::{Entry, record},
        secrets,
        signed_in::SignedIn,
    },
    engines::db::{
        accounts,
        factors::{self, TotpRow},
    },
    error::{Error, ProblemCode, Result},
};

const STEP_S: i64 = 30;
/// A code counts in the step before and after its own, too: clocks and fingers are slow.
const TAKEN_STEPS: i64 = 1;
/// A code so far from its own step is not taken, but tells that a clock is off: by 5 min.
const KNOWN_STEPS: i64 = 10;
const DIGITS: usize = 6;

/// What an app needs to make codes. Shown once.
#[derive(Clone, Serialize, ToSchema)]
pub struct TotpBeginning {
    /// To be typed, base32.
    pub secret: String,
    /// To be drawn as a QR code.
    pub otpauth_uri: String,
}

/// What a code turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Right, for this step.
    Right(i64),
    /// Right, but it was taken before, or a newer one was.
    Used,
    /// Right at another time, so many steps from now: behind when negative.
    ClockOff(i64),
    Wrong,
}

/// Judges a code. Pure.
pub(super) fn judge(totp: &Totp, code: &str, now: UnixMillis, last_step: i64) -> Verdict {
    let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    if code.len() != DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Verdict::Wrong;
    }
    let present = now.0.div_euclid(1000 * STEP_S);
    let fits = |step: i64| {
        u64::try_from(step * STEP_S).is_ok_and(|second| totp.check(&code, second).is_some())
    };
    let fitting: Vec<i64> =
        (present - KNOWN_STEPS..=present + KNOWN_STEPS).filter(|step| fits(*step)).collect();
    let near = fitting.iter().copied().filter(|step| (step - present).abs() <= TAKEN_STEPS);
    if let Some(newest) = near.max() {
        return if newest > last_step { Verdict::Right(newest) } else { Verdict::Used };
    }
    match fitting.last() {
        Some(step) => Verdict::ClockOff(step - present),
        None => Verdict::Wrong,
    }
}

/// Checks a code and spends it: of two that come at once, one is taken.
pub(super) async fn spend(app: &App, account_id: AccountId, code: &str) -> Result<()> {
    let row = factors::totp(&app.db, account_id).await?;
    let row = row.filter(|row| row.confirmed_at.is_some()).ok_or_else(wrong)?;
    let step = right_step(app, account_id, &row, code).await?;
    if factors::spend_step(&app.db, account_id, step).await? { Ok(()) } else { Err(used()) }
}

/// Returns the step of a code that is right now. One that will be right soon is spent, so that who
/// guessed it gains nothing by hearing that a clock is off.
async fn right_step(app: &App, account_id: AccountId, row: &TotpRow, code: &str) -> Result<i64> {
    let totp = open(app, account_id, row)?;
    let now = app.now();
    match judge(&totp, code, now, row.last_step) {
        Verdict::Right(step) => Ok(step),
        Verdict::Used => Err(used()),
        Verdict::ClockOff(steps) => {
            if steps > 0 {
                let step = now.0.div_euclid(1000 * STEP_S) + steps;
                factors::spend_step(&app.db, account_id, step).await?;
            }
            Err(clock_off(steps))
        }
        Verdict::Wrong => Err(wrong()),
    }
}

/// Makes a secret, which counts once a code has confirmed it.
pub async fn begin_totp(app: &App, signed_in: &SignedIn) -> Result<TotpBeginning> {
    let account_id = signed_in.caller.account_id;
    super::confirmed(app, signed_in).await?;
    let account = accounts::by_id(&app.db, account_id).await?.ok_or_else(Error::not_found)?;
    let secret = secrets::bytes::<20>()?;
    let sealed = app.seal.seal(&context(account_id), &secret)?;
    if !factors::begin_totp(&app.db, account_id, sealed, app.now()).await? {
        return Err(Error::conflict(
            ProblemCode::AlreadySetUp,
            "There is an app with codes already: remove it first.",
        ));
    }
    let totp = totp_of(&secret, &account.email)?;
    let otpauth_uri = totp.to_url().map_err(|error| anyhow::anyhow!("no otpauth URI: {error}"))?;
    Ok(TotpBeginning { secret: totp.secret().to_base32(), otpauth_uri })
}

/// Takes the first code: from now on the account has a second factor.
pub async fn confirm_totp(app: &App, signed_in: &SignedIn, code: &str) -> Result<SetUp> {
    let account_id = signed_in.caller.account_id;
    super::confirmed(app, signed_in).await?;
    let now = app.now();
    app.limits.codes_by_account.take(&account_id.to_string(), now)?;
    let row = factors::totp(&app.db, account_id).await?;
    let row = row.filter(|row| row.confirmed_at.is_none()).ok_or_else(|| {
        Error::conflict(ProblemCode::NotSetUp, "There is no secret that waits for a code.")
    })?;
    let step = right_step(app, account_id, &row, code).await?;
    app.limits.codes_by_account.give_back(&account_id.to_string());
    let transaction = app.db.begin().await?;
    factors::hold_account(&transaction, account_id).await?;
    let before = factors::count(&transaction, account_id).await?;
    if !factors::confirm_totp(&transaction, account_id, &row.sealed_secret, step, now).await? {
        return Err(used());
    }
    record(&transaction, now, Entry::new(Action::TotpSetUp, signed_in.caller)).await?;
    set_up::finish(app, transaction, signed_in, before == 0).await
}

/// Removes the secret: asked of who has just shown both password and a factor.
pub async fn remove_totp(app: &App, signed_in: &SignedIn) -> Result<()> {
    let Caller { account_id, .. } = signed_in.caller;
    super::confirmed_twice(app, signed_in).await?;
    let now = app.now();
    let transaction = app.db.begin().await?;
    factors::hold_account(&transaction, account_id).await?;
    let row = factors::totp(&transaction, account_id).await?.ok_or_else(Error::not_found)?;
    factors::delete_totp(&transaction, account_id).await?;
    if row.confirmed_at.is_some() {
        set_up::check_left(&transaction, account_id).await?;
    }
    record(&transaction, now, Entry::new(Action::TotpRemoved, signed_in.caller)).await?;
    set_up::forget_codes_of_nothing(&transaction, account_id).await?;
    set_up::tell(app, &transaction, account_id).await?;
    Ok(transaction.commit().await?)
}

fn context(account_id: AccountId) -> String {
    format!("totp {account_id}")
}

fn open(app: &App, account_id: AccountId, row: &TotpRow) -> Result<Totp> {
    totp_of(&app.seal.open(&context(account_id), &row.sealed_secret)?, "")
}

fn totp_of(secret: &[u8], email: &str) -> Result<Totp> {
    let account_name = email.replace(':', " ");
    let totp = Builder::new()
        .with_secret(secret.to_vec())
        .with_skew(0)
        .with_issuer(Some("Nightjar"))
        .with_account_name(account_name)
        .build()
        .map_err(|error| anyhow::anyhow!("no one-time codes: {error}"))?;
    Ok(totp)
}

fn wrong() -> Error {
    Error::forbidden(ProblemCode::InvalidCode, "This code is not right.")
}

fn used() -> Error {
    Error::forbidden(ProblemCode::CodeUsed, "This code was used already: wait for the next one.")
}

fn clock_off(steps: i64) -> Error {
    let (seconds, way) = (steps.abs() * STEP_S, if steps < 0 { "behind" } else { "ahead" });
    Error::forbidden(
        ProblemCode::ClockOff,
        "This code is right at another time: the clock of the phone or of the relay is off.",
    )
    .with_detail(format!(
        "The app's clock is some {seconds} s {way} of the relay's. Let the phone set its time by the \
         network, wait five minutes, and try again; if its time is right, the relay's is wrong."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 6238, appendix B.
    fn totp() -> Totp {
        totp_of(b"12345678901234567890", "alice@example.org").unwrap()
    }

    fn at(second: i64) -> UnixMillis {
        UnixMillis(second * 1000)
    }

    #[test]
    fn the_vectors_of_the_standard_are_right() {
        for (second, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")]
        {
            let step = second / STEP_S;
            assert_eq!(judge(&totp(), code, at(second), 0), Verdict::Right(step));
            let spaced = format!(" {} {}", &code[..3], &code[3..]);
            assert_eq!(judge(&totp(), &spaced, at(second), 0), Verdict::Right(step));
        }
    }

    #[test]
    fn a_code_is_right_one_step_early_and_late_and_tells_of_a_clock_beyond() {
        let (second, code, step) = (1_111_111_109, "081804", 1_111_111_109 / STEP_S);
        for steps in -1..=1 {
            let now = at(second + steps * STEP_S);
            assert_eq!(judge(&totp(), code, now, 0), Verdict::Right(step));
        }
        for steps in [2, 10, -2, -10] {
            let now = at(second + steps * STEP_S);
            assert_eq!(judge(&totp(), code, now, 0), Verdict::ClockOff(-steps), "{steps}");
        }
        assert_eq!(judge(&totp(), code, at(second + 11 * STEP_S), 0), Verdict::Wrong);
    }

    #[test]
    fn a_code_works_once_and_no_older_one_after_it() {
        let (second, code, step) = (1_111_111_109, "081804", 1_111_111_109 / STEP_S);
        assert_eq!(judge(&totp(), code, at(second), step), Verdict::Used);
        assert_eq!(judge(&totp(), code, at(second), step + 1), Verdict::Used);
        assert_eq!(judge(&totp(), code, at(second), step - 1), Verdict::Right(step));
    }

    #[test]
    fn what_is_no_code_is_wrong() {
        for code in ["", "28708", "2870822", "28708a", "２８７０８２", "-87082", "\0\0\0\0\0\0"]
        {
            assert_eq!(judge(&totp(), code, at(59), 0), Verdict::Wrong, "{code:?}");
        }
        let before_1970 = judge(&totp(), "287082", UnixMillis(-1), 0);
        assert!(!matches!(before_1970, Verdict::Right(_)));
    }

    #[test]
    fn the_uri_names_the_relay_and_the_account() {
        let uri = totp().to_url().unwrap();
        assert!(uri.starts_with("otpauth://totp/Nightjar:alice%40example.org?secret="), "{uri}");
        totp_of(&[7; 20], "\"a:b\"@example.org").unwrap().to_url().unwrap();
    }
}
