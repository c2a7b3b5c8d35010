//! Whatever happens to two databases, a restore gives back what they were. The oracle is what SQLite itself said at each moment.

use super::*;
use crate::wal::{Emptier, keep_log};
use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tempfile::TempDir;
use tidegate_model::ManualClock;

/// What is in both databases.
type Contents = [String; 2];

/// Two databases with a log of changes, and what was in them at each moment that can be gone back to.
struct World {
    dir: TempDir,
    clock: Arc<ManualClock>,
    second: u64,
    open: Option<Open>,
    was: BTreeMap<u64, Contents>,
    /// By the second in which they were whole.
    backups: Vec<(u64, PathBuf, Option<Base>)>,
    /// Seconds at which a lineage ended.
    breaks: Vec<u64>,
    kept: TempDir,
}

struct Open {
    log: Option<Arc<ChangeLog>>,
    writers: [Connection; 2],
    emptiers: [Emptier; 2],
}

fn connect(file: &Path, is_followed: bool) -> Connection {
    let db = Connection::open(file).unwrap();
    if is_followed {
        keep_log(&db).unwrap();
    }
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.execute_batch("CREATE TABLE IF NOT EXISTS page (id INTEGER PRIMARY KEY, data BLOB)").unwrap();
    db
}

fn contents(db: &Connection) -> String {
    let mut statement = db.prepare("SELECT id, data FROM page ORDER BY id").unwrap();
    let mut rows = statement.query([]).unwrap();
    let (mut digest, mut count) = (Sha256::new(), 0);
    while let Some(row) = rows.next().unwrap() {
        digest.update(row.get::<_, i64>(0).unwrap().to_le_bytes());
        digest.update(row.get_ref(1).unwrap().as_blob().unwrap());
        count += 1;
    }
    format!("{count} rows, {}", hex::encode(&digest.finalize()[..8]))
}

fn copy(from: &Path, to: &Path) {
    let (source, mut copy) = (Connection::open(from).unwrap(), Connection::open(to).unwrap());
    keep_log(&source).unwrap();
    Backup::new(&source, &mut copy).and_then(|b| b.step(-1).map(drop)).unwrap();
    copy.pragma_update(None, "journal_mode", "DELETE").unwrap();
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at(Instant::from_seconds(1_000))),
            second: 1_000,
            open: None,
            was: BTreeMap::new(),
            backups: Vec::new(),
            breaks: Vec::new(),
            kept: tempfile::tempdir().unwrap(),
        };
        world.start(true);
        world
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("changes")
    }

    fn file(&self, database: Database) -> PathBuf {
        self.dir.path().join(database.name())
    }

    fn start(&mut self, is_followed: bool) {
        let token = self.dir.path().join("token");
        let known = fs::read_to_string(&token).ok();
        let _ = fs::remove_file(&token);
        let clock = self.clock.clone();
        let log = is_followed.then(|| ChangeLog::open(self.folder(), token, known.as_deref(), clock));
        let mut writers = Database::ALL.map(|database| connect(&self.file(database), is_followed));
        let mut emptiers = Database::ALL.into_iter().zip(&mut writers).map(|(database, writer)| {
            let follow = log.clone().map(|log| Follow { log, database });
            Emptier::start(writer, &self.file(database), follow).unwrap()
        });
        let emptiers = [emptiers.next().unwrap(), emptiers.next().unwrap()];
        self.open = Some(Open { log, writers, emptiers });
    }

    fn open(&self) -> &Open {
        self.open.as_ref().unwrap()
    }

    fn log(&self) -> &ChangeLog {
        self.open().log.as_ref().unwrap()
    }

    /// The next record begins a file, for which there is no folder.
    fn take_the_folder_away(&self) {
        let _begun = self.log().begin().unwrap();
        fs::rename(self.folder(), self.dir.path().join("away")).unwrap();
        fs::write(self.folder(), "in the way").unwrap();
    }

    fn bring_the_folder_back(&self) {
        fs::remove_file(self.folder()).unwrap();
        fs::rename(self.dir.path().join("away"), self.folder()).unwrap();
    }

    fn step(&mut self) {
        self.second += 10;
        self.clock.set(Instant::from_seconds(self.second));
    }

    fn write(&self, database: Database, sql: &str) {
        self.open().writers[database as usize].execute_batch(sql).unwrap();
    }

    fn note(&mut self) {
        let now = [0, 1].map(|i| contents(&self.open().writers[i]));
        self.was.insert(self.second, now);
    }

    fn tick(&mut self) {
        self.step();
        self.log().tick();
        if !self.log().stats().kept {
            self.breaks.push(self.second);
        }
        self.note();
    }

    fn back_up(&mut self) {
        self.step();
        let folder = self.kept.path().join(self.second.to_string());
        fs::create_dir(&folder).unwrap();
        let begun = self.log().begin().unwrap();
        for database in Database::ALL {
            copy(&self.file(database), &folder.join(database.name()));
            // What comes meanwhile is in neither or one of the copies, and in the changes.
            self.write(Database::Catalog, "INSERT INTO page (data) VALUES (randomblob(3000))");
            self.write(Database::Events, "DELETE FROM page WHERE id = (SELECT max(id) FROM page)");
        }
        self.step();
        let base = self.log().finish(&begun);
        self.note();
        self.backups.push((self.second, folder, base));
    }

    /// The process dies: what is in the files stays, and half a record is behind the changes.
    fn die(&mut self, half: &[u8]) {
        let next = tempfile::tempdir().unwrap();
        let open = self.open.take().unwrap();
        let [first, second] = &open.emptiers;
        first.while_idle(|| {
            second.while_idle(|| {
                fs::create_dir(next.path().join("changes")).unwrap();
                for entry in [self.dir.path(), &self.folder()].iter().flat_map(|d| fs::read_dir(d).unwrap()) {
                    let path = entry.unwrap().path();
                    let name = path.strip_prefix(self.dir.path()).unwrap();
                    if path.is_file() && !name.to_str().unwrap().ends_with("-shm") {
                        fs::copy(&path, next.path().join(name)).unwrap();
                    }
                }
            });
        });
        drop(open);
        self.dir = next;
        if let Some(last) = record::files(&self.folder()).unwrap().pop() {
            fs::OpenOptions::new().append(true).open(last.path).unwrap().write_all(half).unwrap();
        }
        self.start(true);
    }

    /// What a restore to a second gives.
    fn restored(&self, second: u64) -> Option<(Applied, Contents)> {
        let (made, folder, base) = self.backups.iter().rfind(|(made, ..)| *made <= second)?;
        let copies = tempfile::tempdir().unwrap();
        let files = Database::ALL.map(|database| copies.path().join(database.name()));
        for (file, database) in files.iter().zip(Database::ALL) {
            fs::copy(folder.join(database.name()), file).unwrap();
        }
        let to = Instant::from_seconds(second);
        let applied = match base {
            Some(base) => apply(&self.folder(), base, to, [&files[0], &files[1]]).unwrap(),
            None => Applied { as_of: Some(Instant::from_seconds(*made)), pages: 0, end: End::Last },
        };
        let read = |file: &PathBuf| {
            let db = Connection::open(file).unwrap();
            let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(sound, "ok", "as of {second}: {applied:?}");
            contents(&db)
        };
        Some((applied.clone(), [read(&files[0]), read(&files[1])]))
    }

    /// Goes back to every moment that was noted.
    fn check(&self) {
        for (second, was) in &self.was {
            let Some((applied, restored)) = self.restored(*second) else { continue };
            let as_of = applied.as_of.expect("the mark of the backup").seconds();
            let made = self.backups.iter().rfind(|(made, ..)| made <= second).unwrap().0;
            assert!(as_of <= *second);
            assert_eq!(&restored, &self.was[&as_of], "as of {as_of}, asked for {second}");
            if !self.breaks.iter().any(|broken| (made..=*second).contains(broken)) {
                assert_eq!(&restored, was, "changes of {as_of} to {second} are missing: {applied:?}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Database, u32, u32),
    Delete(Database, u32),
    Shrink(Database),
    Tick,
    BackUp,
    Die(Vec<u8>),
    Restart,
    Empty(Database),
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let database = || prop_oneof![Just(Database::Catalog), Just(Database::Events)];
    let step = prop_oneof![
        6 => (database(), 1..40_u32, 1..9_000_u32).prop_map(|(d, n, bytes)| Step::Insert(d, n, bytes)),
        // Enough for the log to be emptied beside.
        1 => (database(), 300..400_u32, 14_000..16_000_u32).prop_map(|(d, n, bytes)| Step::Insert(d, n, bytes)),
        2 => (database(), 2..5_u32).prop_map(|(d, n)| Step::Delete(d, n)),
        1 => database().prop_map(Step::Shrink),
        6 => Just(Step::Tick),
        2 => Just(Step::BackUp),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Step::Die),
        1 => Just(Step::Restart),
        1 => database().prop_map(Step::Empty),
        1 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 10..60)
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::Insert(database, rows, bytes) => world.write(
            *database,
            &format!(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                 INSERT INTO page (data) SELECT randomblob({bytes}) FROM n"
            ),
        ),
        Step::Delete(database, nth) => world.write(*database, &format!("DELETE FROM page WHERE id % {nth} = 0")),
        Step::Shrink(database) => world.write(*database, "DELETE FROM page WHERE id % 3 > 0; VACUUM"),
        Step::Tick => world.tick(),
        Step::BackUp => world.back_up(),
        Step::Die(half) => {
            world.die(half);
            world.tick();
        }
        Step::Restart => {
            drop(world.open.take());
            world.start(true);
            world.tick();
        }
        Step::Empty(database) => {
            let open = world.open();
            open.log.as_ref().unwrap().drain_or_end(*database);
            let _ = open.writers[*database as usize].query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
        // As when a key is changed.
        Step::Forget => {
            let open = world.open();
            open.emptiers[0].while_idle(|| {
                open.log.as_ref().unwrap().drain_or_end(Database::Catalog);
                open.writers[0].query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
                open.log.as_ref().unwrap().cut_off(Database::Catalog);
            });
        }
    }
}

/// Each takes a second, most of which is waiting for the disk; `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = std::env::var_os("PROPTEST_CASES").map_or(24, |_| usual.cases);
    ProptestConfig { cases, ..usual }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_restore_to_any_moment_gives_what_the_databases_were_then(steps in steps()) {
        let mut world = World::new();
        world.back_up();
        steps.iter().for_each(|step| take(&mut world, step));
        world.tick();
        world.check();
    }

    #[test]
    fn whatever_a_record_holds_it_is_read_or_refused(
        at in 0..200_usize, byte: u8, cut in 0..400_usize, numbers in prop::collection::vec(0..5_u32, 0..6),
    ) {
        let mut images = Images::default();
        let data = numbers.iter().flat_map(|n| vec![u8::try_from(*n).unwrap() + 10; 512]).collect();
        let pages = record::Pages { page: 512, pages: 9, numbers, data, ..record::Pages::default() };
        images.remember(&pages);
        let written = Record::Pages(images.differences(&pages).unwrap());
        let mut bytes = written.write(7).unwrap().split_off(4 + record::DIGEST);
        prop_assert_eq!(Record::read(&bytes), Some((7, written)));
        let at = at % bytes.len();
        bytes[at] ^= byte;
        if let Some((_, Record::Pages(read))) = Record::read(&bytes) {
            prop_assert_eq!(read.data.len(), (read.numbers.len() - read.known as usize) * read.page as usize);
        }
        bytes.truncate(cut);
        let _ = Record::read(&bytes);
    }
}

const ROW: &str = "INSERT INTO page (data) VALUES (randomblob(3000))";

fn pages(n: u32) -> String {
    format!("INSERT INTO page (data) VALUES (randomblob({}))", n * 4096)
}

#[test]
fn a_log_that_its_writer_has_to_empty_is_kept_first() {
    let mut world = World::new();
    world.back_up();
    // Beyond what a commit leaves to others, several times, and nobody else does it meanwhile.
    for _ in 0..3 {
        let Open { emptiers: [_, emptier], .. } = world.open();
        emptier.while_idle(|| (0..9).for_each(|_| world.write(Database::Events, &pages(1_000))));
        world.write(Database::Catalog, ROW);
        world.tick();
    }
    assert!(world.breaks.is_empty());
    let log = fs::metadata(world.dir.path().join("events.db-wal")).unwrap().len();
    assert!(log < 2 * 9_000 * 4_200, "it was never begun anew: {log}");
    world.check();
}

#[test]
fn what_cannot_be_kept_for_a_while_is_kept_later_and_none_is_missing() {
    let mut world = World::new();
    world.back_up();
    world.write(Database::Catalog, ROW);
    world.tick();
    world.take_the_folder_away();
    world.write(Database::Events, ROW);
    world.step();
    world.log().tick();
    assert!(world.log().stats().kept && !world.log().drain(Database::Events), "the log must not be emptied");
    world.write(Database::Catalog, ROW);
    world.bring_the_folder_back();
    world.tick();
    assert!(world.breaks.is_empty() && world.log().drain(Database::Events));
    world.check();
}

#[test]
fn what_cannot_be_kept_at_all_ends_the_lineage_and_holds_up_no_commit() {
    let mut world = World::new();
    world.back_up();
    world.tick();
    let wanting = world.log().wanting();
    let bases = |world: &World| -> Vec<Base> { world.backups.iter().filter_map(|(_, _, base)| *base).collect() };
    world.log().lead_from(&bases(&world));
    assert!(!*wanting.borrow());
    world.take_the_folder_away();
    (0..20).for_each(|_| world.write(Database::Events, &pages(1_000)));
    let stats = world.log().stats();
    assert!(!stats.kept && stats.breaks == 1 && *wanting.borrow(), "{stats:?}");
    assert!(world.log().drain(Database::Events), "nothing is lost by emptying it any more");
    assert!(world.log().begin().is_err());
    world.tick();
    world.bring_the_folder_back();
    // From the next backup on all is well again.
    world.back_up();
    world.log().lead_from(&bases(&world));
    assert!(!*wanting.borrow() && world.log().stats().kept);
    world.write(Database::Catalog, ROW);
    world.tick();
    world.check();
}

#[test]
fn a_disk_that_says_nothing_holds_up_no_commit_for_long() {
    let mut world = World::new();
    world.back_up();
    world.write(Database::Events, ROW);
    world.tick();
    // As if the disk of the log of changes did not answer.
    let stuck = world.log().state();
    (0..20).for_each(|_| world.write(Database::Events, &pages(1_000)));
    let log = fs::metadata(world.dir.path().join("events.db-wal")).unwrap().len();
    assert!(log < 15_000 * 4_200, "nobody emptied it: {log}");
    drop(stuck);
    world.log().tick();
    let stats = world.log().stats();
    assert!(!stats.kept && stats.breaks == 1, "{stats:?}");
    world.step();
    world.breaks.push(world.second);
    world.note();
    world.back_up();
    world.write(Database::Events, ROW);
    world.tick();
    world.check();
}

#[test]
fn databases_that_were_written_to_without_the_log_of_changes_begin_a_new_one() {
    let mut world = World::new();
    world.back_up();
    world.write(Database::Catalog, ROW);
    world.tick();
    drop(world.open.take());
    world.start(true);
    assert!(world.log().stats().kept, "it outlives an end in order");
    drop(world.open.take());
    world.start(false);
    world.write(Database::Catalog, ROW);
    drop(world.open.take());
    world.start(true);
    assert!(!world.log().stats().kept && *world.log().wanting().borrow());
    world.tick();
    world.back_up();
    world.write(Database::Catalog, ROW);
    world.tick();
    world.check();
}

#[test]
fn a_program_that_knows_nothing_of_the_log_of_changes_and_wrote_meanwhile_is_noticed() {
    let mut world = World::new();
    world.back_up();
    for ends_with_a_log in [false, true] {
        world.write(Database::Catalog, ROW);
        world.tick();
        assert!(world.log().stats().kept);
        drop(world.open.take());
        let other = || Connection::open(world.file(Database::Catalog)).unwrap();
        // The last to leave puts the log into the database and removes it.
        other().execute_batch(ROW).unwrap();
        if ends_with_a_log {
            let other = other();
            keep_log(&other).unwrap();
            other.execute_batch(ROW).unwrap();
        }
        world.start(true);
        assert!(!world.log().stats().kept && world.log().stats().breaks == 1);
        world.tick();
        world.back_up();
    }
    world.check();
}

#[test]
fn changes_go_with_the_backups_that_they_lead_from() {
    let mut world = World::new();
    for _ in 0..4 {
        world.back_up();
        for _ in 0..3 {
            world.write(Database::Events, ROW);
            world.tick();
        }
    }
    let count = |world: &World| record::files(&world.folder()).unwrap().len();
    let before = count(&world);
    let kept = world.backups.split_off(2);
    let bases: Vec<Base> = kept.iter().filter_map(|(_, _, base)| *base).collect();
    world.backups = kept;
    world.log().keep_since(&bases).unwrap();
    let after = count(&world);
    assert!(after < before && after >= 2, "{after} of {before} are left");
    world.check();
    // Those of a lineage that no backup is left of go, too; the one that is being written stays.
    world.log().keep_since(&[]).unwrap();
    assert_eq!(count(&world), after);
}

/// Turns a bit round, so far behind the start of a file.
fn damage(file: &Path, at: f64) {
    let mut bytes = fs::read(file).unwrap();
    let at = (bytes.len() as f64 * at) as usize;
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn behind_damage_there_is_no_way_and_the_state_before_it_is_whole() {
    let mut world = World::new();
    world.back_up();
    for _ in 0..8 {
        world.write(Database::Events, ROW);
        world.tick();
    }
    let last = *world.was.keys().last().unwrap();
    let file = record::files(&world.folder()).unwrap().pop().unwrap().path;
    damage(&file, 0.6);
    let (applied, contents) = world.restored(last).unwrap();
    let as_of = applied.as_of.unwrap().seconds();
    assert!(as_of < last && applied.end == End::Damaged { file: file.clone() }, "{applied:?}");
    assert_eq!(contents, world.was[&as_of]);
    fs::write(&file, "of another version, say").unwrap();
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy");
    let told = apply(&world.folder(), &world.backups[0].2.unwrap(), Instant::from_seconds(last), [&copy, &copy]);
    let told = told.unwrap_err().to_string();
    assert!(told.contains("is no log of changes of this version"), "{told}");
}

#[test]
fn a_page_that_was_put_to_another_use_in_between_is_not_taken_for_what_it_was() {
    let mut images = Images::default();
    // Most of a page is as it was, so the next one refers to it.
    let page = |first: u8, most: u32, last: u8| {
        let mut noise = most;
        let mut next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.to_be_bytes()[0]
        };
        let data = [first].into_iter().chain((0..500).map(|_| next())).chain([last; 11]).collect();
        record::Pages { page: 512, pages: 2, numbers: vec![2], data, ..record::Pages::default() }
    };
    // Of a tree, a part of something long, of a tree again.
    let written: Vec<record::Pages> = [page(13, 1, 1), page(0, 2, 2), page(13, 3, 3), page(13, 3, 4)]
        .iter()
        .map(|pages| {
            let written = images.differences(pages).unwrap();
            images.remember(pages);
            written
        })
        .collect();
    assert_eq!(written.iter().map(|pages| pages.known).collect::<Vec<_>>(), [0, 1, 0, 1]);
    let mut context = zstd::zstd_safe::DCtx::create();
    let mut differences = written[3].differences.as_slice();
    let mut right = page(13, 3, 3).data;
    images::next(&mut context, &mut differences, &mut right).unwrap();
    assert_eq!((right, differences), (page(13, 3, 4).data, &[][..]));
    let mut wrong = page(13, 1, 1).data;
    let told = images::next(&mut context, &mut written[3].differences.as_slice(), &mut wrong).unwrap_err();
    assert!(told.to_string().contains("cannot be read"), "{told}");
}

#[test]
fn a_file_of_changes_that_is_missing_ends_the_way() {
    let mut world = World::new();
    world.back_up();
    for _ in 0..3 {
        world.write(Database::Events, ROW);
        world.tick();
        let _begun = world.log().begin().unwrap();
    }
    let last = *world.was.keys().last().unwrap();
    let files = record::files(&world.folder()).unwrap();
    fs::remove_file(&files[1].path).unwrap();
    let (applied, contents) = world.restored(last).unwrap();
    assert_eq!(applied.end, End::Damaged { file: files[0].path.clone() });
    assert_eq!(contents, world.was[&applied.as_of.unwrap().seconds()]);
}
