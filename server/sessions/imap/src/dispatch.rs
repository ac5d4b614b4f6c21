//! Which verb is allowed when (RFC 3501 §3), and who runs it.

use facteur_imap::{Command, Tag};

use crate::{
    outcome::{Closed, Outcome, Reply, Stop},
    selected::Selected,
    session::{Session, User},
};

impl Session {
    pub(crate) async fn dispatch(&mut self, tag: &Tag, command: Command) -> Outcome {
        match command {
            Command::Capability => self.capability(),
            Command::Noop => self.noop().await,
            Command::Logout => self.logout(tag).await,
            Command::Id(fields) => self.id(&fields),
            Command::StartTls => self.starttls(tag).await,
            Command::Authenticate {
                mechanism,
                initial_response,
            } => self.authenticate(&mechanism, initial_response).await,
            Command::Login { username, password } => self.login(username, password).await,
            command if self.user.is_none() => {
                drop(command);
                Err(Reply::bad("Log in first").into())
            }
            Command::Enable(capabilities) => self.enable(&capabilities),
            Command::Namespace => self.namespace(),
            Command::Select {
                mailbox,
                read_only,
                condstore,
            } => self.select(&mailbox, read_only, condstore).await,
            Command::Create(mailbox) => self.create(&mailbox).await,
            Command::Delete(mailbox) => self.delete(&mailbox).await,
            Command::Rename { from, to } => self.rename(&from, &to).await,
            Command::Subscribe(mailbox) => self.subscribe(&mailbox, true).await,
            Command::Unsubscribe(mailbox) => self.subscribe(&mailbox, false).await,
            Command::List(list) => self.list(&list).await,
            Command::Lsub(list) => self.lsub(&list).await,
            Command::Status { mailbox, items } => self.status(&mailbox, &items).await,
            Command::GetQuota(root) => self.get_quota(&root).await,
            Command::GetQuotaRoot(mailbox) => self.get_quota_root(&mailbox).await,
            Command::SetQuota(_) => Err(Reply::no("[NOPERM] Quota is set elsewhere").into()),
            command => self.selected_command(command).await,
        }
    }

    async fn selected_command(&mut self, command: Command) -> Outcome {
        self.selected()?;
        match command {
            Command::Check => self.check().await,
            Command::Close => self.close().await,
            Command::Unselect => self.unselect(),
            Command::Expunge(set) => self.expunge(set.as_ref()).await,
            Command::Search(search) => self.search(search).await,
            Command::Fetch(fetch) => self.fetch(fetch).await,
            Command::Store(store) => self.store(&store).await,
            Command::Copy(copy) => self.copy(&copy).await,
            Command::Move(r#move) => self.move_messages(&r#move).await,
            _ => Err(Reply::bad("Unknown command").into()),
        }
    }

    pub(crate) fn user(&mut self) -> Result<&mut User, Stop> {
        self.user
            .as_deref_mut()
            .ok_or_else(|| Reply::bad("Log in first").into())
    }

    pub(crate) fn selected(&mut self) -> Result<&mut Selected, Stop> {
        self.user()?
            .selected
            .as_mut()
            .ok_or_else(|| Reply::bad("No mailbox selected").into())
    }

    /// Runs work on the store where it may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.service.bridge.run(work).await
    }

    async fn logout(&mut self, tag: &Tag) -> Outcome {
        self.out.extend_from_slice(b"* BYE Logging out\r\n");
        self.reply(tag, &Reply::ok("LOGOUT completed"));
        self.flush().await?;
        Err(Closed::Logout.into())
    }
}
