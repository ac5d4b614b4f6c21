//! What the server lies on while it is struck.

use std::path::Path;

use crate::{FaultCounts, FaultPoint, Forgetful, Image, Loss, Strike};

/// A place for the server's data, with a way to strike the server at a call to the kernel.
pub(crate) trait Ground {
    /// Counts calls of process `pid` from here on; of one that is about to start when it is 0.
    fn rehearse(&mut self, pid: u32);
    /// How often each point was met since.
    fn counts(&mut self) -> FaultCounts;
    /// How often each point was met since the last strike was set or the disk mounted, if that is
    /// known without a rehearsal.
    fn met(&self) -> FaultCounts {
        FaultCounts::new()
    }
    /// Kills process `pid` when `strike` is met from here on.
    fn strike(&mut self, strike: Strike, pid: u32);
    /// As [`Ground::strike`], of a process that is about to start; `false` when it cannot be done.
    fn strike_next(&mut self, strike: Strike) -> bool;
    /// Whether the strike has been met, or it cannot be told before the server is stopped.
    fn has_struck(&self) -> bool {
        true
    }
    /// Where it was struck. `dead` when the server is known to have gone.
    fn struck(&mut self, dead: bool) -> Option<FaultPoint>;
    /// From here on nothing changes any more.
    fn freeze(&mut self) {}
    /// What was not synced is lost. The server is down.
    fn lose(&mut self, loss: Loss);
    /// From here on these syncs are not done, whatever they say.
    fn leave_out(&mut self, _syncs: &[FaultPoint]) {}
    /// Keeps a copy of everything. The server is down.
    fn save(&mut self);
    /// Goes back to the copy. The server is down.
    fn restore(&mut self);
    /// Keeps a copy for the moment.
    fn keep(&mut self) {}
    /// Goes back to that copy. The server is down.
    fn go_back(&mut self) {}
}

/// A disk that forgets.
pub(crate) struct ForgetfulGround {
    disk: Forgetful,
    saved: Option<Image>,
    kept: Option<Image>,
    armed: Option<Strike>,
}

impl ForgetfulGround {
    pub(crate) fn new(place: &Path) -> Self {
        let disk = Forgetful::mount(place, Image::new(0));
        assert!(disk.hears_syncfs(), "FUSE needs syncfs (Linux 6.18)");
        Self {
            disk,
            saved: None,
            kept: None,
            armed: None,
        }
    }
}

impl Ground for ForgetfulGround {
    fn rehearse(&mut self, _pid: u32) {
        self.armed = None;
        self.disk.reset();
    }

    fn counts(&mut self) -> FaultCounts {
        self.disk.counts()
    }

    fn met(&self) -> FaultCounts {
        self.disk.counts()
    }

    fn strike(&mut self, strike: Strike, pid: u32) {
        self.armed = Some(strike);
        self.disk.strike(strike, pid);
    }

    fn strike_next(&mut self, strike: Strike) -> bool {
        self.armed = Some(strike);
        self.disk.strike_whoever_calls(strike);
        true
    }

    fn has_struck(&self) -> bool {
        self.disk.has_struck()
    }

    fn struck(&mut self, _dead: bool) -> Option<FaultPoint> {
        let armed = self.armed.map(|strike| strike.point);
        armed.filter(|_| self.disk.has_struck())
    }

    fn freeze(&mut self) {
        self.disk.freeze();
    }

    fn lose(&mut self, loss: Loss) {
        self.armed = None;
        self.disk.cut(loss);
    }

    fn leave_out(&mut self, syncs: &[FaultPoint]) {
        self.disk.leave_out(syncs);
    }

    fn save(&mut self) {
        self.saved = Some(self.disk.image());
    }

    fn restore(&mut self) {
        if let Some(saved) = &self.saved {
            self.disk.replace(saved.clone());
        }
    }

    fn keep(&mut self) {
        self.kept = Some(self.disk.image());
    }

    fn go_back(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.disk.replace(kept);
        }
    }
}
