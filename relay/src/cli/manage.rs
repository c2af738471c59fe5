//! `admin account`, `admin site` and all that an administrator does beside a relay that runs: what ends
//! rights takes effect there within seconds.

mod output;

use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser};
use nightjar_shared::{
    account::MailState,
    admin::{Job, Period, Series, Setting, TrailScope},
    ids::{CameraId, SessionId, SiteId},
    role::AccountRole,
};
use serde_json::{Value, json};

use self::output::Output;
use super::open_database;
use crate::{
    clock::now,
    config::Config,
    domain::{
        PageRequest,
        admin::{
            Desk,
            accounts::{self, AccountSearch, AdminAccountChange, AdminDeletion},
            cameras::{self, CameraSearch},
            job_list, letters, live_sessions,
            settings::{self, SettingChanges},
            sites::{self, SiteLimitsChange, SiteSearch},
            statistics::{self, StatisticsSelection},
            storage,
        },
        audit::{self, AuditSelection, RelayTrail},
        members::Patch,
    },
};

/// Makes a parser of a set of words, which lists them in the help.
macro_rules! words {
    ($words:ty) => {
        PossibleValuesParser::new(<$words>::ALL.iter().map(|word| word.as_str()))
            .try_map(|word| word.parse::<$words>())
    };
}

/// Which page of a list.
#[derive(Args)]
pub(super) struct Paging {
    /// How many at most, 200 at a time.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// `next_cursor` of the page before.
    #[arg(long)]
    cursor: Option<String>,
}

impl Paging {
    fn request(self) -> PageRequest {
        PageRequest { cursor: self.cursor, limit: Some(self.limit) }
    }
}

#[derive(Subcommand)]
pub(super) enum ManageTask {
    /// All accounts, and what is done to one.
    Account {
        #[command(subcommand)]
        task: AccountTask,
        /// Writes JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// All sites, and what each may use.
    Site {
        #[command(subcommand)]
        task: SiteTask,
        /// Writes JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// All cameras, and how they feel.
    Camera {
        #[command(subcommand)]
        task: CameraTask,
        /// Writes JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// What lies in the store.
    Storage {
        /// Writes JSON.
        #[arg(long)]
        json: bool,
    },
    /// What the relay does by itself.
    Job {
        #[command(subcommand)]
        task: JobTask,
        /// Writes JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// What waits to leave, and what was given up.
    Letter {
        #[command(subcommand)]
        task: LetterTask,
        /// Writes JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// Who watches now.
    Live {
        #[command(subcommand)]
        task: LiveTask,
        /// Writes JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// Who did what, the newest first; never what was seen.
    Trail {
        #[arg(long, value_parser = words!(TrailScope), default_value = TrailScope::All.as_str())]
        scope: TrailScope,
        #[arg(long)]
        site: Option<SiteId>,
        /// A word like `signed_in`.
        #[arg(long)]
        action: Option<String>,
        #[command(flatten)]
        paging: Paging,
        /// Writes JSON.
        #[arg(long)]
        json: bool,
    },
    /// Counts over time.
    Statistics {
        #[arg(long, value_parser = words!(Period), default_value = Period::Day.as_str())]
        period: Period,
        #[arg(long, value_parser = words!(Series))]
        series: Option<Series>,
        /// Writes JSON.
        #[arg(long)]
        json: bool,
    },
    /// Settings that may be changed while the relay runs, and where each value comes from.
    Setting {
        #[command(subcommand)]
        task: SettingTask,
        /// Writes JSON.
        #[arg(long, global = true)]
        json: bool,
    },
}

/// An account is named by its id or its address.
#[derive(Subcommand)]
pub(super) enum AccountTask {
    /// Lists accounts, the newest first.
    List {
        /// A part of the address or the name.
        #[arg(long)]
        search: Option<String>,
        #[arg(long, value_parser = words!(AccountRole))]
        role: Option<AccountRole>,
        #[arg(long)]
        disabled: Option<bool>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows one, and the sites that it belongs to.
    Show { account: String },
    /// Lets it do nothing, and ends what it has open.
    Disable { account: String },
    /// Lets it do again what it could.
    Enable { account: String },
    /// Makes it an administrator's, or one like all others.
    Role {
        account: String,
        #[arg(value_parser = words!(AccountRole))]
        role: AccountRole,
    },
    /// Makes its password worth nothing, and prints a link by which its owner sets another.
    Reset { account: String },
    /// Ends all its sign-ins and the keys of its programs.
    SignOut { account: String },
    /// Deletes it in a week, with the sites that it alone owns; until then it may do nothing.
    Delete {
        account: String,
        /// Each site that goes with it, as it is shown without them.
        #[arg(long = "site", value_name = "SITE_ID")]
        sites: Vec<SiteId>,
    },
    /// Takes its end back.
    Keep { account: String },
}

#[derive(Subcommand)]
pub(super) enum SiteTask {
    /// Lists sites, the newest first.
    List {
        /// A part of the name, or of its owner's address.
        #[arg(long)]
        search: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    Show {
        site_id: SiteId,
    },
    /// Changes what it may use. What is not named stays; without any it may use what all may.
    Limit {
        site_id: SiteId,
        #[arg(long)]
        megabytes: Option<u64>,
        #[arg(long)]
        clips: Option<u64>,
        #[arg(long)]
        events: Option<u64>,
    },
}

#[derive(Subcommand)]
pub(super) enum CameraTask {
    /// Lists cameras, the newest first.
    List {
        /// A part of the name or the model.
        #[arg(long)]
        search: Option<String>,
        #[arg(long)]
        site: Option<SiteId>,
        #[arg(long)]
        online: Option<bool>,
        /// The agent's.
        #[arg(long = "agent-version")]
        version: Option<String>,
        /// Those alone that say that something is wrong.
        #[arg(long)]
        faulty: bool,
        #[command(flatten)]
        paging: Paging,
    },
    Show {
        camera_id: CameraId,
    },
}

#[derive(Subcommand)]
pub(super) enum JobTask {
    /// Lists jobs, and how they went.
    List,
    /// Lets the relay that runs do one within seconds.
    Run {
        #[arg(value_parser = words!(Job))]
        job: Job,
    },
}

#[derive(Subcommand)]
pub(super) enum LetterTask {
    /// Lists what has not left, the newest first.
    List {
        #[arg(long, value_parser = words!(MailState))]
        state: Option<MailState>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Tries again what was given up.
    Retry { letter_id: String },
    /// Drops it: nobody gets it.
    Drop { letter_id: String },
}

#[derive(Subcommand)]
pub(super) enum LiveTask {
    List {
        #[command(flatten)]
        paging: Paging,
    },
    End {
        session_id: SessionId,
    },
}

#[derive(Subcommand)]
pub(super) enum SettingTask {
    List,
    /// Sets one above the file. The value is JSON, or a word.
    Set {
        #[arg(value_parser = words!(Setting))]
        name: Setting,
        value: String,
    },
    /// Puts the file's value in force again.
    Unset {
        #[arg(value_parser = words!(Setting))]
        name: Setting,
    },
}

pub(super) async fn run(config: &Config, task: ManageTask) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let desk = Desk::at_command_line(&db, now());
    match task {
        ManageTask::Account { task, json } => account(&desk, config, task, Output { json }).await,
        ManageTask::Site { task, json } => site(&desk, task, Output { json }).await,
        ManageTask::Camera { task, json } => camera(&desk, task, Output { json }).await,
        ManageTask::Storage { json } => {
            let columns = ["site_id", "site_name", "kind", "count", "bytes"];
            let found = storage::look(&desk).await?;
            Output { json }.parts(&found, "classes", &columns)
        }
        ManageTask::Job { task, json } => job(&desk, task, Output { json }).await,
        ManageTask::Letter { task, json } => letter(&desk, task, Output { json }).await,
        ManageTask::Live { task, json } => live(&desk, task, Output { json }).await,
        ManageTask::Trail { scope, site, action, paging, json } => {
            let site = site.map(|site_id| site_id.to_string());
            let part = RelayTrail { scope: Some(scope), site };
            let selection = AuditSelection { action, ..AuditSelection::default() };
            let found = audit::in_relay(&db, &part, &selection, &paging.request()).await?;
            let columns = ["at", "action", "account_name", "site_id", "subject", "address"];
            Output { json }.list(&found, &columns)
        }
        ManageTask::Statistics { period, series, json } => {
            let selection =
                StatisticsSelection { period: Some(period), series, from: None, to: None };
            let found = statistics::list(&desk, &selection).await?;
            Output { json }.list(&found, &["at", "series", "value"])
        }
        ManageTask::Setting { task, json } => setting(&desk, config, task, Output { json }).await,
    }
}

async fn account(
    desk: &Desk<'_>,
    config: &Config,
    task: AccountTask,
    output: Output,
) -> anyhow::Result<()> {
    let change = async |named: &str, change: AdminAccountChange| {
        let account_id = accounts::find(desk, named).await?;
        output.one(&accounts::change(desk, account_id, &change).await?)
    };
    match task {
        AccountTask::List { search, role, disabled, paging } => {
            let search = AccountSearch { search, role, disabled };
            let found = accounts::list(desk, &search, &paging.request()).await?;
            output.list(
                &found,
                &["account_id", "email", "role", "disabled_at", "factors", "sites", "seen_at"],
            )
        }
        AccountTask::Show { account } => {
            output.one(&accounts::get(desk, accounts::find(desk, &account).await?).await?)
        }
        AccountTask::Disable { account } => {
            change(&account, AdminAccountChange { role: None, disabled: Some(true) }).await
        }
        AccountTask::Enable { account } => {
            change(&account, AdminAccountChange { role: None, disabled: Some(false) }).await
        }
        AccountTask::Role { account, role } => {
            change(&account, AdminAccountChange { role: Some(role), disabled: None }).await
        }
        AccountTask::Reset { account } => {
            let account_id = accounts::find(desk, &account).await?;
            output.one(&accounts::force_reset(desk, account_id, &config.public_url).await?)
        }
        AccountTask::SignOut { account } => {
            accounts::sign_out(desk, accounts::find(desk, &account).await?).await?;
            output.done("signed out")
        }
        AccountTask::Delete { account, sites } => {
            let account_id = accounts::find(desk, &account).await?;
            let deletion = AdminDeletion { site_ids: sites };
            let begun = accounts::begin_deletion(desk, account_id, &deletion).await;
            if begun.is_err() {
                let goes = accounts::deletion(desk, account_id).await?;
                output.parts(&goes, "sites", &["site_id", "name", "cameras", "clips"])?;
            }
            output.one(&begun?)
        }
        AccountTask::Keep { account } => {
            accounts::take_deletion_back(desk, accounts::find(desk, &account).await?).await?;
            output.done("kept")
        }
    }
}

async fn site(desk: &Desk<'_>, task: SiteTask, output: Output) -> anyhow::Result<()> {
    match task {
        SiteTask::List { search, paging } => {
            let found = sites::list(desk, &SiteSearch { search }, &paging.request()).await?;
            output.list(&found, &["site_id", "name", "owner_email", "cameras", "clips", "bytes"])
        }
        SiteTask::Show { site_id } => output.one(&sites::get(desk, site_id).await?),
        SiteTask::Limit { site_id, megabytes, clips, events } => {
            let all = [megabytes, clips, events].iter().all(Option::is_none);
            let patch = |value: Option<u64>| match value {
                Some(value) => Patch::Becomes(Some(value)),
                None if all => Patch::Becomes(None),
                None => Patch::Stays,
            };
            let change = SiteLimitsChange {
                megabytes: patch(megabytes),
                clips: patch(clips),
                events: patch(events),
            };
            output.one(&sites::change_limits(desk, site_id, change).await?)
        }
    }
}

async fn camera(desk: &Desk<'_>, task: CameraTask, output: Output) -> anyhow::Result<()> {
    match task {
        CameraTask::List { search, site, online, version, faulty, paging } => {
            let site_id = site.map(|site_id| site_id.to_string());
            let search = CameraSearch { search, site_id, online, version, faulty: Some(faulty) };
            let found = cameras::list(desk, &search, &paging.request()).await?;
            output.list(
                &found,
                &["camera_id", "site_name", "name", "status", "agent_version", "last_seen_at"],
            )
        }
        CameraTask::Show { camera_id } => output.one(&cameras::get(desk, camera_id).await?),
    }
}

async fn job(desk: &Desk<'_>, task: JobTask, output: Output) -> anyhow::Result<()> {
    match task {
        JobTask::List => output.list(
            &job_list::list(desk).await?,
            &["job", "runs", "failures", "started_at", "duration_ms", "reason"],
        ),
        JobTask::Run { job } => {
            job_list::ask(desk, job).await?;
            output.done("the relay that runs does it within seconds")
        }
    }
}

async fn letter(desk: &Desk<'_>, task: LetterTask, output: Output) -> anyhow::Result<()> {
    match task {
        LetterTask::List { state, paging } => {
            let selection = letters::LetterSelection { state };
            let found = letters::list(desk, &selection, &paging.request()).await?;
            let columns =
                ["letter_id", "channel", "state", "kind", "recipient", "attempts", "reason"];
            output.list(&found, &columns)
        }
        LetterTask::Retry { letter_id } => {
            letters::retry(desk, &letter_id).await?;
            output.done("it leaves again")
        }
        LetterTask::Drop { letter_id } => {
            letters::remove(desk, &letter_id).await?;
            output.done("dropped")
        }
    }
}

async fn live(desk: &Desk<'_>, task: LiveTask, output: Output) -> anyhow::Result<()> {
    match task {
        LiveTask::List { paging } => output.list(
            &live_sessions::list(desk, &paging.request()).await?,
            &["session_id", "site_name", "camera_name", "email", "state", "started_at"],
        ),
        LiveTask::End { session_id } => {
            live_sessions::end(desk, session_id).await?;
            output.done("ended")
        }
    }
}

async fn setting(
    desk: &Desk<'_>,
    config: &Config,
    task: SettingTask,
    output: Output,
) -> anyhow::Result<()> {
    let change = match task {
        SettingTask::List => None,
        SettingTask::Set { name, value } => {
            let value = serde_json::from_str(&value).unwrap_or_else(|_| json!(value));
            Some((name, value))
        }
        SettingTask::Unset { name } => Some((name, Value::Null)),
    };
    let found = match change {
        None => settings::list(desk, config).await?,
        Some((name, value)) => {
            let changes = SettingChanges([(name.as_str().to_owned(), value)].into());
            settings::change(desk, config, &changes).await?
        }
    };
    output.list(&found, &["name", "value", "source"])
}
