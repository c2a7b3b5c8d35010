//! What is due, worked out from the links, the cursors and the time; nothing is touched here.
//!
//! For each metric set and period: the window that ended last, if a store wants it and it is not on record; and behind it the
//! windows that were missed, oldest first. A window that is too old for every store that wants it is not worth evaluating: it
//! is given up as part of a gap. Pull stores are never too late, since what they show is a sum of all windows.

use super::spread::Spread;
use crate::catalog::Link;
use crate::ledger::Track;
use crate::look_back::LookBack;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tidegate_model::{Instant, MetricSetId, Period, ProjectId, StoreId, Window};

/// What one track has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrackPlan {
    pub(crate) track: Track,
    pub(crate) project: ProjectId,
    /// The window that ended last, if it is wanted and beyond the cursor.
    pub(crate) live: Option<Window>,
    /// Where the cursor can go without evaluating, if that is further than where it is.
    pub(crate) skip: Option<Skip>,
    /// The first missed window, if there is one.
    pub(crate) missed: Option<Window>,
}

/// A move of the cursor over windows that nobody wants any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) to: u64,
    /// Store, first start, windows.
    pub(crate) gaps: Vec<(StoreId, u64, u64)>,
    /// The longest look-back of these stores: each of the windows is older.
    pub(crate) longest: Duration,
}

/// The plan of every track that has a link and a cursor.
pub(crate) fn plan(
    links: &[Link],
    cursors: &HashMap<Track, u64>,
    now: Instant,
    look_back: &LookBack,
    spread: &Spread,
) -> Vec<TrackPlan> {
    let mut tracks: BTreeMap<(MetricSetId, Period), Vec<&Link>> = BTreeMap::new();
    for link in links {
        tracks.entry((link.metric_set, link.period)).or_default().push(link);
    }
    let planned = tracks.into_iter().filter_map(|(track, links)| {
        let cursor = *cursors.get(&track)?;
        let after = spread.of_project(links[0].project, track.1);
        Some(plan_track(track, &links, cursor, now, look_back, after))
    });
    planned.collect()
}

/// A window counts as ended `after` microseconds after its end.
fn plan_track(track: Track, links: &[&Link], cursor: u64, now: Instant, look_back: &LookBack, after: u64) -> TrackPlan {
    let period = u64::from(track.1.seconds());
    let shifted = Instant::from_micros(now.micros().saturating_sub(after));
    let in_progress = track.1.window_at(shifted).start().seconds();
    let project = links[0].project;
    let live = in_progress.checked_sub(period).and_then(|start| Window::starting_at(start, track.1));
    let live = live.filter(|w| w.start().seconds() >= cursor && links.iter().any(|l| l.wants(*w)));
    // Missed windows end where the live one begins.
    let end = live.map_or(in_progress, |w| w.start().seconds());
    let kept = links.iter().filter_map(|l| first_kept(l, cursor, end, now, look_back, period)).min();
    let to = kept.unwrap_or(end).min(end);
    let skip = (to > cursor).then(|| {
        let pushed = links.iter().filter(|l| !l.pull);
        let longest = pushed.map(|l| look_back.of(&l.adapter)).max().unwrap_or_default();
        Skip { to, gaps: gaps(links, cursor, to, period), longest }
    });
    let missed = kept.filter(|start| *start < end).and_then(|start| Window::starting_at(start, track.1));
    TrackPlan { track, project, live, skip, missed }
}

/// The first start at or after `cursor` and before `end` of a window that a link wants and that is not too old for it.
fn first_kept(link: &Link, cursor: u64, end: u64, now: Instant, look_back: &LookBack, period: u64) -> Option<u64> {
    // A window ends after the horizon if it starts after the horizon less one period.
    let horizon = if link.pull { 0 } else { now.seconds().saturating_sub(look_back.of(&link.adapter).as_secs()) };
    let oldest = (horizon + 1).saturating_sub(period).div_ceil(period) * period;
    let first = cursor.max(link.since).max(oldest);
    let last = link.until.map_or(end, |until| until.min(end));
    (first < last).then_some(first)
}

/// What the push stores among `links` miss between `from` and `to`.
fn gaps(links: &[&Link], from: u64, to: u64, period: u64) -> Vec<(StoreId, u64, u64)> {
    let missed = links.iter().filter(|l| !l.pull).filter_map(|link| {
        let first = from.max(link.since);
        let last = link.until.map_or(to, |until| until.min(to));
        (first < last).then(|| (link.store, first, (last - first).div_ceil(period)))
    });
    missed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn link(store: i64, since: u64, until: Option<u64>, pull: bool) -> Link {
        let (metric_set, project, period) = (MetricSetId(1), ProjectId(1), Period::default());
        Link { store: StoreId(store), metric_set, project, period, since, until, pull, adapter: String::new() }
    }

    fn planned(links: &[Link], cursor: u64, now: u64, look_back: Duration) -> TrackPlan {
        let cursors = HashMap::from([((MetricSetId(1), Period::default()), cursor)]);
        plan(links, &cursors, Instant::from_seconds(now), &LookBack::fixed(look_back), &Spread::default()).remove(0)
    }

    fn starts(plan: &TrackPlan) -> (Option<u64>, Option<u64>, Option<u64>) {
        let start = |w: Option<Window>| w.map(|w| w.start().seconds());
        (start(plan.live), plan.skip.as_ref().map(|s| s.to), start(plan.missed))
    }

    #[test]
    fn the_window_in_progress_is_not_due_and_the_one_that_just_ended_is() {
        let links = [link(1, 600, None, false)];
        assert_eq!(starts(&planned(&links, 600, 659, DAY)), (None, None, None));
        assert_eq!(starts(&planned(&links, 600, 660, DAY)), (Some(600), None, None));
        assert_eq!(starts(&planned(&links, 660, 661, DAY)), (None, None, None));
    }

    #[test]
    fn a_project_that_stands_off_from_the_end_of_its_windows_has_them_due_later_and_the_same() {
        let (links, spread) = ([link(1, 600, None, false)], Spread::default());
        spread.set_claims(20_000);
        let after = spread.of_project(ProjectId(1), Period::default());
        assert!((1_000_000..15_000_000).contains(&after), "{after} us");
        let planned = |micros: u64| {
            let cursors = HashMap::from([((MetricSetId(1), Period::default()), 600)]);
            let now = Instant::from_micros(660_000_000 + micros);
            starts(&plan(&links, &cursors, now, &LookBack::fixed(DAY), &spread).remove(0))
        };
        assert_eq!(planned(after - 1), (None, None, None));
        assert_eq!(planned(after), (Some(600), None, None));
    }

    #[test]
    fn missed_windows_wait_behind_the_live_one_oldest_first() {
        assert_eq!(starts(&planned(&[link(1, 600, None, false)], 600, 1000, DAY)), (Some(900), None, Some(600)));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_due() {
        assert_eq!(starts(&planned(&[link(1, 600, None, false)], 6000, 900, DAY)), (None, None, None));
    }

    #[test]
    fn windows_past_the_look_back_become_a_gap_for_push_stores_and_stay_due_for_pull_stores() {
        let hour = Duration::from_secs(3600);
        let push = [link(1, 600, None, false)];
        let plan = planned(&push, 600, 600 + 7200, hour);
        // The first that ends after 4200 begins at 4200.
        assert_eq!(starts(&plan), (Some(7740), Some(4200), Some(4200)));
        assert_eq!(plan.skip.unwrap().gaps, [(StoreId(1), 600, 60)]);
        let both = [link(1, 600, None, false), link(2, 600, None, true)];
        assert_eq!(starts(&planned(&both, 600, 600 + 7200, hour)), (Some(7740), None, Some(600)));
    }

    #[test]
    fn what_lies_between_two_claims_is_passed_over_and_no_gap_of_anyone() {
        let links = [link(1, 600, Some(720), false), link(2, 6000, None, false)];
        let plan = planned(&links, 720, 6060, DAY);
        assert_eq!(starts(&plan), (Some(6000), Some(6000), None));
        assert_eq!(plan.skip.unwrap().gaps, []);
    }

    #[test]
    fn a_claim_that_has_ended_makes_nothing_due() {
        assert_eq!(
            starts(&planned(&[link(1, 600, Some(720), false)], 720, 6060, DAY)),
            (None, Some(6060 / 60 * 60), None)
        );
    }

    proptest! {
        /// Following the plan until nothing is left to do meets each window that a store wants exactly once: evaluated, or
        /// in a gap of that store because it was past its look-back.
        #[test]
        fn every_wanted_window_is_met_once(
            claims in prop::collection::vec((0u64..40, prop::option::of(1u64..60), any::<bool>()), 1..4),
            cursor in 0u64..40, now in 0u64..6000, look_back in 0u64..4000,
        ) {
            let links: Vec<_> = claims.iter().zip(1..)
                .map(|((since, until, pull), id)| link(id, since * 60, until.map(|u| u * 60), *pull)).collect();
            let look_back = Duration::from_secs(look_back);
            let (mut at, mut evaluated, mut missing) = (cursor * 60, BTreeMap::new(), std::collections::HashSet::new());
            loop {
                let plan = planned(&links, at, now, look_back);
                if let Some(skip) = plan.skip {
                    for (store, first, n) in skip.gaps {
                        missing.extend((0..n).map(|i| (store.0, first + 60 * i)));
                    }
                    prop_assert!(skip.to > at);
                    at = skip.to;
                } else if let Some(window) = plan.missed.or(plan.live) {
                    prop_assert_eq!(window.start().seconds(), at);
                    prop_assert!(window.end().seconds() <= now);
                    evaluated.insert(at, ());
                    at += 60;
                } else {
                    break;
                }
            }
            for l in &links {
                for start in (cursor..now / 60).map(|m| m * 60).filter(|s| l.wants(Window::starting_at(*s, Period::default()).unwrap())) {
                    let too_old = !l.pull && start + 60 <= now.saturating_sub(look_back.as_secs());
                    let gap = missing.contains(&(l.store.0, start));
                    prop_assert!(evaluated.contains_key(&start) != gap, "{start} of {:?}", l);
                    prop_assert!(!gap || too_old);
                }
            }
        }
    }
}
