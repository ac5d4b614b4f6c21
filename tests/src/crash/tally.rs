//! How often each point was met, aimed at and struck.

use std::{collections::BTreeMap, fmt};

use super::campaign::Crash;
use crate::{FaultCounts, FaultPoint, Random, Strike};

/// What the server is doing when it is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It serves clients.
    Run,
    /// It starts, and does again what a crash has left.
    Start,
}

impl Phase {
    const ALL: [Self; 2] = [Self::Run, Self::Start];
}

type Counts = BTreeMap<Crash, usize>;

#[derive(Debug, Default)]
struct Row {
    /// The most in one run, or in one start.
    met: usize,
    aimed: Counts,
    struck: Counts,
}

/// So many tries in vain count as one that was met: what few runs meet is aimed at more often.
const VAIN: usize = 6;

impl Row {
    fn misses(&self) -> usize {
        let sum = |counts: &Counts| counts.values().sum::<usize>();
        sum(&self.aimed).saturating_sub(sum(&self.struck))
    }

    /// How much was done for a kind of crash.
    fn done(&self, crash: Crash) -> usize {
        let of = |counts: &Counts| counts.get(&crash).copied().unwrap_or(0);
        let (aimed, struck) = (of(&self.aimed), of(&self.struck));
        struck + aimed.saturating_sub(struck) / VAIN
    }
}

/// Every point that was ever met.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rows: BTreeMap<(Phase, FaultPoint), Row>,
}

impl Tally {
    /// These points were met in one run or start.
    pub(super) fn meet(&mut self, phase: Phase, counts: &FaultCounts) {
        for (point, count) in counts {
            let row = self.rows.entry((phase, *point)).or_default();
            row.met = row.met.max(*count);
        }
    }

    pub(super) fn points(&self, phase: Phase) -> impl Iterator<Item = (FaultPoint, usize)> {
        let rows = self.rows.iter().filter(move |((of, _), _)| *of == phase);
        rows.map(|((_, point), row)| (*point, row.met))
    }

    /// The points of a run and the kinds of crash for which least was done, and how much that was.
    fn least(&self, kinds: &[Crash]) -> Option<(usize, Vec<(FaultPoint, Crash)>)> {
        let rows = self.rows.iter().filter(|((of, _), _)| *of == Phase::Run);
        let cells = rows.flat_map(|((_, point), row)| {
            let all: usize = Crash::ALL.iter().map(|crash| row.done(*crash)).sum();
            kinds
                .iter()
                .map(move |crash| ((all, row.done(*crash)), (*point, *crash)))
        });
        let cells: Vec<_> = cells.collect();
        let least = cells.iter().map(|(count, _)| *count).min()?;
        let cells = cells.into_iter().filter(|(count, _)| *count == least);
        Some((least.0, cells.map(|(_, cell)| cell).collect()))
    }

    /// Aims at a call of a run, of a point for which least was done, so that each has its turn with each kind.
    /// Says how often it was aimed at in vain.
    pub(super) fn aim(
        &mut self,
        kinds: &[Crash],
        random: &mut Random,
    ) -> Option<(Crash, Strike, usize)> {
        let (_, cells) = self.least(kinds)?;
        let (point, crash) = *random.pick(&cells);
        let row = self.rows.entry((Phase::Run, point)).or_default();
        // What was aimed at in vain is tried earlier: not every run gets so far.
        let misses = row.misses();
        let early = row.met >> misses.min(16);
        *row.aimed.entry(crash).or_insert(0) += 1;
        let nth = 1 + random.below(early.max(1));
        Some((crash, Strike { point, nth }, misses))
    }

    /// Aims at a call of a start that meets these points, if there is one of them for which no more was
    /// done than for any while the server serves.
    pub(super) fn aim_at_start(
        &mut self,
        met: &FaultCounts,
        kinds: &[Crash],
        random: &mut Random,
    ) -> Option<(Crash, Strike)> {
        let (due, _) = self.least(kinds)?;
        let cells = met.iter().flat_map(|(point, count)| {
            let row = self.rows.get(&(Phase::Start, *point));
            let done = move |crash| row.map_or(0, |row| row.done(crash));
            let all: usize = Crash::ALL.iter().map(|crash| done(*crash)).sum();
            let cell = move |crash: &Crash| ((all, done(*crash)), *point, *count, *crash);
            kinds.iter().map(cell)
        });
        let cells: Vec<_> = cells.filter(|((all, _), ..)| *all <= due).collect();
        let least = cells.iter().map(|(done, ..)| *done).min()?;
        let cells: Vec<_> = cells.iter().filter(|(done, ..)| *done == least).collect();
        let (_, point, count, crash) = **random.pick(&cells);
        let row = self.rows.entry((Phase::Start, point)).or_default();
        *row.aimed.entry(crash).or_insert(0) += 1;
        let nth = 1 + random.below(count);
        Some((crash, Strike { point, nth }))
    }

    pub(super) fn strike(&mut self, phase: Phase, point: FaultPoint, crash: Crash) {
        let row = self.rows.entry((phase, point)).or_default();
        *row.struck.entry(crash).or_insert(0) += 1;
    }

    fn sum_of(&self, phase: Phase, crash: Crash) -> usize {
        let rows = self.rows.iter().filter(|((of, _), _)| *of == phase);
        rows.filter_map(|(_, row)| row.struck.get(&crash)).sum()
    }

    pub(super) fn sum(&self) -> usize {
        let rows = self.rows.values();
        rows.flat_map(|row| row.struck.values()).sum()
    }

    /// Points that were met and never struck.
    pub(super) fn missed(&self) -> Vec<String> {
        let rows = self.rows.iter().filter(|(_, row)| row.struck.is_empty());
        rows.map(|((phase, point), _)| match phase {
            Phase::Run => point.to_string(),
            Phase::Start => format!("{point} (starting)"),
        })
        .collect()
    }

    /// Points that were met and never struck by a crash of one of these kinds.
    pub(super) fn missed_by_kind(&self, kinds: &[Crash]) -> Vec<String> {
        let rows = self.rows.iter().flat_map(|((phase, point), row)| {
            let missed = kinds.iter().filter(|kind| !row.struck.contains_key(kind));
            missed.map(move |kind| format!("{point} ({phase:?}, {kind:?})"))
        });
        rows.collect()
    }

    /// System calls that were never struck, on whatever file.
    pub(super) fn missed_calls(&self) -> Vec<String> {
        let mut calls: BTreeMap<&str, bool> = BTreeMap::new();
        for ((_, point), row) in &self.rows {
            *calls.entry(point.call).or_insert(false) |= !row.struck.is_empty();
        }
        let missed = calls.into_iter().filter(|(_, is_struck)| !is_struck);
        missed.map(|(call, _)| call.to_owned()).collect()
    }
}

/// A line a point; a column a kind of crash, the server running and starting.
impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for phase in Phase::ALL {
            let title = match phase {
                Phase::Run => "struck while it serves",
                Phase::Start => "struck while it starts",
            };
            write!(formatter, "{title:<36} {:>7}", "met")?;
            for crash in Crash::ALL {
                write!(formatter, " {:>8}", crash.name())?;
            }
            writeln!(formatter)?;
            for ((_, point), row) in self.rows.iter().filter(|((of, _), _)| *of == phase) {
                write!(formatter, "{:<36} {:>7}", point.to_string(), row.met)?;
                for crash in Crash::ALL {
                    let count = row.struck.get(&crash).copied().unwrap_or(0);
                    write!(formatter, " {count:>8}")?;
                }
                writeln!(formatter)?;
            }
            write!(formatter, "{:<44}", "sum")?;
            for crash in Crash::ALL {
                write!(formatter, " {:>8}", self.sum_of(phase, crash))?;
            }
            writeln!(formatter, "\n")?;
        }
        Ok(())
    }
}
