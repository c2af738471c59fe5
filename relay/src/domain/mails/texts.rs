//! What mails say: all of it, in one place. Plain text, short, with one thing to do.

use std::time::Duration;

use jiff::Timestamp;
use nightjar_shared::{account::MailKind, role::Role, time::UnixMillis};

use super::Mail;

/// News that came so late would only confuse.
const NEWS_LIFETIME: Duration = Duration::from_hours(72);

pub(super) struct Text {
    pub(super) kind: MailKind,
    pub(super) subject: String,
    pub(super) body: String,
    /// After that it need not leave any more.
    pub(super) expires_at: UnixMillis,
}

/// Where a mail comes from, and when.
struct Origin<'a> {
    url: &'a str,
    host: &'a str,
    now: UnixMillis,
}

pub(super) fn write(mail: &Mail<'_>, public_url: &str, now: UnixMillis) -> Text {
    let host = public_url.split_once("://").map_or(public_url, |(_, host)| host);
    let from = Origin { url: public_url, host, now };
    match *mail {
        Mail::VerifyAddress { link, expires_at } => verify_address(&from, link, expires_at),
        Mail::ResetPassword { link, expires_at } => reset_password(&from, link, expires_at),
        Mail::PasswordVoided { link, expires_at } => password_voided(&from, link, expires_at),
        Mail::PasswordChanged => password_changed(&from),
        Mail::FactorsChanged => factors_changed(&from),
        Mail::AddressChanged { new } => address_changed(&from, new),
        Mail::NewSignIn { program, network } => new_sign_in(&from, program, network),
        Mail::AccountExists => account_exists(&from),
        Mail::AccountDeleted => account_deleted(&from),
        Mail::AccountDisabled => account_disabled(&from),
        Mail::DeletionBegun { at } => deletion_begun(&from, at),
        Mail::ViewAsked { by, site, reason, minutes, page, expires_at } => Text {
            kind: MailKind::ViewAsked,
            subject: format!("{by} asks to see {site}"),
            body: format!(
                "{by}, who helps to run {host}, asks to see the cameras and the footage of \"{site}\" \
                 for {minutes} minutes. The reason:\n\n  {reason}\n\n\
                 Nothing is shown unless you allow it here, until {}:\n\n{page}\n\n\
                 You can end it at any time, and everything that is watched stands in your log. \
                 If you did not ask for help, refuse it or do nothing.\n",
                moment(expires_at)
            ),
            expires_at,
        },
        Mail::Invitation { link, by, site, role, expires_at } => Text {
            kind: MailKind::Invitation,
            subject: format!("{by} invites you to {site}"),
            body: format!(
                "{by} invites you to the cameras of \"{site}\" at {host}. {}\n\n\
                 Follow this link to accept:\n\n{link}\n\n\
                 It works until {}. If you do not know {by}, do nothing.\n",
                may(role),
                moment(expires_at)
            ),
            expires_at,
        },
    }
}

fn verify_address(from: &Origin<'_>, link: &str, expires_at: UnixMillis) -> Text {
    let body = format!(
        "Follow this link to confirm that this address is yours:\n\n{link}\n\n\
         It works until {}. If you have no account at {} and did not ask for this, do nothing: \
         without the link nothing happens.\n",
        moment(expires_at),
        from.host
    );
    let subject = "Confirm your e-mail address".to_owned();
    Text { kind: MailKind::VerifyAddress, subject, body, expires_at }
}

fn reset_password(from: &Origin<'_>, link: &str, expires_at: UnixMillis) -> Text {
    let body = format!(
        "Follow this link to set a new password for your account at {}:\n\n{link}\n\n\
         It works once, until {}. Everybody who is signed in to the account will be signed out. If \
         you did not ask for this, do nothing: your password stays as it is.\n",
        from.host,
        moment(expires_at)
    );
    let subject = "Set a new password".to_owned();
    Text { kind: MailKind::ResetPassword, subject, body, expires_at }
}

fn password_changed(from: &Origin<'_>) -> Text {
    let Origin { url, host, now } = from;
    let body = format!(
        "The password of your account at {host} was changed on {}.\n\n\
         If that was not you, set a new one at once:\n\n{url}/reset\n",
        moment(*now)
    );
    from.news(MailKind::PasswordChanged, "Your password was changed", body)
}

fn factors_changed(from: &Origin<'_>) -> Text {
    let Origin { url, host, now } = from;
    let body = format!(
        "On {} a second factor of your account at {host} was added, removed or replaced: a \
         passkey, an app with codes, or the backup codes.\n\n\
         If that was not you, set a new password at once, then look at what is there:\n\n\
         {url}/reset\n",
        moment(*now)
    );
    from.news(MailKind::FactorsChanged, "Your second factors were changed", body)
}

fn address_changed(from: &Origin<'_>, new: &str) -> Text {
    let Origin { host, now, .. } = from;
    let body = format!(
        "On {} the e-mail address of your account at {host} was changed to {new}. This address \
         gets no more mail about it.\n\n\
         If that was not you, tell the person who runs {host} at once.\n",
        moment(*now)
    );
    from.news(MailKind::AddressChanged, "The address of your account was changed", body)
}

fn new_sign_in(from: &Origin<'_>, program: &str, network: &str) -> Text {
    let Origin { url, host, now } = from;
    let body = format!(
        "Somebody signed in to your account at {host} with something that had not before:\n\n  \
         when: {}\n  by: {program}\n  from: {network}\n\n\
         If that was you, there is nothing to do. If not, end the sign-in and change your \
         password:\n\n{url}/account\n",
        moment(*now)
    );
    from.news(MailKind::NewSignIn, "A new sign-in to your account", body)
}

fn account_exists(from: &Origin<'_>) -> Text {
    let Origin { url, host, .. } = from;
    let body = format!(
        "Somebody wanted to make an account at {host} with this address. You have one: sign in, or \
         set a new password.\n\n{url}/sign-in\n{url}/reset\n\n\
         If that was not you, there is nothing to do.\n"
    );
    from.news(MailKind::AccountExists, "You have an account already", body)
}

fn account_deleted(from: &Origin<'_>) -> Text {
    let Origin { host, now, .. } = from;
    let body = format!(
        "Your account at {host} was deleted on {}, and what belongs to it is being deleted.\n\n\
         If that was not you, tell the person who runs {host}.\n",
        moment(*now)
    );
    from.news(MailKind::AccountDeleted, "Your account was deleted", body)
}

fn password_voided(from: &Origin<'_>, link: &str, expires_at: UnixMillis) -> Text {
    let body = format!(
        "The person who runs {} has ended your password and all sign-ins of your account. Follow this \
         link to set a new password:\n\n{link}\n\nIt works once, until {}. After that, ask for \
         another one at the sign-in.\n",
        from.host,
        moment(expires_at)
    );
    let subject = "Set a new password".to_owned();
    Text { kind: MailKind::ResetPassword, subject, body, expires_at }
}

fn account_disabled(from: &Origin<'_>) -> Text {
    let Origin { host, now, .. } = from;
    let body = format!(
        "Your account at {host} was disabled on {} by a person who runs it: nobody can sign in to it. \
         Cameras go on recording.\n\nAsk the person who runs {host} why.\n",
        moment(*now)
    );
    from.news(MailKind::AccountDisabled, "Your account was disabled", body)
}

fn deletion_begun(from: &Origin<'_>, at: UnixMillis) -> Text {
    let Origin { host, .. } = from;
    let body = format!(
        "A person who runs {host} will delete your account on {}, with the sites that you alone own and \
         all that was recorded there. Until then nobody can sign in to it, and it can be taken \
         back.\n\nAsk the person who runs {host} if you did not expect this.\n",
        moment(at)
    );
    from.news(MailKind::DeletionBegun, "Your account is going to be deleted", body)
}

impl Origin<'_> {
    fn news(&self, kind: MailKind, subject: &str, body: String) -> Text {
        Text { kind, subject: subject.to_owned(), body, expires_at: self.now.plus(NEWS_LIFETIME) }
    }
}

fn may(role: Role) -> &'static str {
    match role {
        Role::Owner => "You would own them, too.",
        Role::Manager => "You could watch, set and name them.",
        Role::Viewer => "You could watch them.",
        Role::Installer => "You could set them up, and see no pictures.",
    }
}

fn moment(at: UnixMillis) -> String {
    let timestamp = Timestamp::from_millisecond(at.0).unwrap_or_default();
    timestamp.strftime("%-d %B %Y, %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    #[test]
    fn every_mail_is_short_and_says_where_it_comes_from() {
        let (link, expires_at) = ("https://cam.example.org/reset#TOKEN", NOW);
        let invitation =
            Mail::Invitation { link, by: "Alice", site: "Home", role: Role::Viewer, expires_at };
        for mail in [
            Mail::VerifyAddress { link, expires_at },
            Mail::ResetPassword { link, expires_at },
            Mail::PasswordChanged,
            Mail::FactorsChanged,
            Mail::AddressChanged { new: "b@example.org" },
            Mail::NewSignIn { program: "Firefox on Linux", network: "203.0.113.x" },
            Mail::AccountExists,
            Mail::AccountDeleted,
            invitation,
        ] {
            let Text { subject, body, .. } = write(&mail, "https://cam.example.org", NOW);
            assert!(subject.len() < 60, "{subject}");
            assert!(body.contains("cam.example.org") && body.len() < 700, "{body}");
            assert!(body.ends_with('\n') && !body.contains("  \n"), "{body}");
        }
        let reset = Mail::ResetPassword { link, expires_at };
        let reset = write(&reset, "https://cam.example.org", NOW);
        assert!(reset.body.lines().any(|line| line == link), "{}", reset.body);
        assert!(reset.body.contains("14 November 2023, 22:13 UTC"), "{}", reset.body);
    }
}
