//! One connection: moves bytes between the socket and the protocol's session, and answers its
//! events.

use std::{io, sync::Arc, time::Duration};

use facteur_delivery::sieve;
use facteur_managesieve::{Capabilities, Code, Event, Next, Session};
use facteur_runtime::{Connection, Received};
use facteur_sasl::Exchange;
use facteur_store::Account;
use facteur_wire::Secret;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::{Options, refusal::Refusal, scripts, service::ManageSieveService};

/// Room for what is read at a time while commands are waited for: an idle connection holds this
/// much.
const READ: usize = 512;

/// The same while a script comes in.
const READ_SCRIPT: usize = 16 * 1024;

/// How long the end of a connection may take.
const CLOSE: Duration = Duration::from_secs(5);

/// Who is logged in.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) account: Account,
}

pub(crate) struct Driver {
    pub(crate) service: Arc<ManageSieveService>,
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    /// A SASL exchange under way.
    pub(crate) exchange: Option<Exchange>,
    pub(crate) user: Option<User>,
    login_deadline: Instant,
}

impl Driver {
    pub(crate) fn new(service: Arc<ManageSieveService>, connection: Connection) -> Self {
        let capabilities = capabilities(&connection, &service.options);
        Self {
            session: Session::new(capabilities, service.options.max_script_size),
            login_deadline: Instant::now() + service.options.login_timeout,
            service,
            connection,
            exchange: None,
            user: None,
        }
    }

    pub(crate) async fn run(mut self) {
        let reason = match self.converse().await {
            Ok(reason) => {
                self.connection.close(CLOSE).await;
                reason.to_owned()
            }
            Err(error) => error.to_string(),
        };
        match &self.user {
            Some(user) => info!(user = %user.name, reason, "managesieve logout"),
            None => debug!(reason, "managesieve connection ended without a login"),
        }
    }

    /// Serves until the end; says why it came.
    async fn converse(&mut self) -> io::Result<&'static str> {
        loop {
            match self.session.advance() {
                Next::Flush => self.flush().await?,
                Next::Input => {
                    self.flush().await?;
                    match self.receive().await? {
                        Received::Bytes => {}
                        Received::Closed => return Ok("connection closed"),
                        Received::TimedOut => return self.goodbye(None, "Idle", "timed out").await,
                        Received::Draining => {
                            let code = Some(Code::TryLater);
                            let text = "Server is stopping";
                            return self.goodbye(code, text, "server stopping").await;
                        }
                    }
                }
                Next::Close => {
                    self.flush().await?;
                    return Ok("logged out");
                }
                Next::Event(event) => self.answer(event).await?,
            }
        }
    }

    async fn answer(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::StartTls => self.start_tls().await?,
            Event::Authenticate {
                mechanism,
                initial_response,
            } => {
                self.authenticate(&mechanism, initial_response.as_ref().map(Secret::expose))
                    .await;
            }
            Event::Respond(response) => self.respond(response.expose()).await,
            Event::Unauthenticate => {
                if let Some(user) = self.user.take() {
                    info!(user = %user.name, reason = "unauthenticated", "managesieve logout");
                }
                self.login_deadline = Instant::now() + self.service.options.login_timeout;
                self.session.ok("");
            }
            event => self.script_command(event).await,
        }
        Ok(())
    }

    /// The commands on scripts: one trip over the bridge each.
    async fn script_command(&mut self, event: Event) {
        match event {
            Event::HaveSpace { name, size } => {
                let done = self.run_on(move |account, options| {
                    scripts::have_space(account, options, &name, size)
                });
                let done = done.await;
                self.reply(done);
            }
            Event::PutScript { name, script } => {
                let action = format!("put {name}");
                let put = move |account: &Account, options: &Options| {
                    scripts::put(account, options, &name, &script)
                };
                self.change(action, put).await;
            }
            Event::CheckScript(script) => {
                let done = self.run_on(move |_, options| scripts::check(options, &script));
                let done = done.await;
                self.reply(done);
            }
            Event::SetActive(name) => {
                let action = match &name {
                    Some(name) => format!("activate {name}"),
                    None => "deactivate".to_owned(),
                };
                let set = move |account: &Account, _: &Options| {
                    scripts::set_active(account, name.as_ref())
                };
                self.change(action, set).await;
            }
            Event::DeleteScript(name) => {
                let action = format!("delete {name}");
                let delete = move |account: &Account, _: &Options| scripts::delete(account, &name);
                self.change(action, delete).await;
            }
            Event::RenameScript { from, to } => {
                let action = format!("rename {from} to {to}");
                let rename =
                    move |account: &Account, _: &Options| scripts::rename(account, &from, &to);
                self.change(action, rename).await;
            }
            Event::ListScripts => {
                let listed = self.run_on(|account, _| Ok(account.scripts()?)).await;
                match listed {
                    Ok(list) => {
                        let list = list
                            .iter()
                            .map(|script| (script.name.as_str(), script.active));
                        self.session.list(list);
                    }
                    Err(refusal) => self.reply(Err(refusal)),
                }
            }
            Event::GetScript(name) => {
                let read = self.run_on(move |account, _| Ok(account.script(name.as_str())?));
                match read.await {
                    Ok(script) => self.session.script(&script),
                    Err(refusal) => self.reply(Err(refusal)),
                }
            }
            // Answered before they come here.
            _ => self.session.no(None, "Not possible now"),
        }
    }

    /// Does something on the bridge with the account.
    async fn run_on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Account, &Options) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let Some(user) = &self.user else {
            return Err(Refusal::new(Code::TryLater, "Log in first"));
        };
        let account = user.account.clone();
        let service = self.service.clone();
        let bridge = self.service.bridge.clone();
        bridge.run(move || work(&account, &service.options)).await
    }

    /// As [`Driver::run_on`], answers the client, and notes the change in the log.
    async fn change(
        &mut self,
        action: String,
        work: impl FnOnce(&Account, &Options) -> Result<(), Refusal> + Send + 'static,
    ) {
        let done = self.run_on(work).await;
        if let (Ok(()), Some(user)) = (&done, &self.user) {
            info!(user = %user.name, action, "sieve script changed");
        }
        self.reply(done);
    }

    fn reply(&mut self, done: Result<(), Refusal>) {
        match done {
            Ok(()) => self.session.ok(""),
            Err(refusal) => self.session.no(refusal.code, &refusal.text),
        }
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.connection.start_tls().await?;
        let capabilities = capabilities(&self.connection, &self.service.options);
        self.session.tls_started(capabilities);
        Ok(())
    }

    /// Sends what the session has to say, and gives its memory back.
    async fn flush(&mut self) -> io::Result<()> {
        let limit = self.service.options.write_timeout;
        let mut output = std::mem::take(self.session.output());
        self.connection.send(&mut output, limit).await
    }

    async fn receive(&mut self) -> io::Result<Received> {
        let limit = if self.session.is_authenticated() {
            self.service.options.autologout
        } else {
            self.login_deadline - Instant::now()
        };
        let room = self.session.expects().clamp(READ, READ_SCRIPT);
        let input = self.session.input();
        input.release();
        self.connection.receive(input.spare(room), limit).await
    }

    /// Tells the client why we close.
    async fn goodbye(
        &mut self,
        code: Option<Code>,
        text: &str,
        reason: &'static str,
    ) -> io::Result<&'static str> {
        self.session.bye(code, text);
        self.flush().await?;
        Ok(reason)
    }
}

/// What may be offered on this connection as it is now.
fn capabilities(connection: &Connection, options: &Options) -> Capabilities {
    Capabilities {
        implementation: options.implementation.clone(),
        sieve: sieve::extensions().to_vec(),
        sasl: &["PLAIN", "LOGIN"],
        passwords: connection.allows_passwords(),
        start_tls: connection.can_start_tls(),
        max_redirects: options.max_redirects,
        notify: sieve::notify_methods().to_vec(),
    }
}
