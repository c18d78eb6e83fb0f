//! From a scope to the live intents that overlap it, in the cost of what is found.

mod inside;

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::Hash;
use core::ops::Bound;

use mpac_wire::{IntentId, Scope};

use super::dependency;
use super::listed::Listed;
use super::outline::{self, Class, Outline, entries};
use super::{Names, Overlap, glob, normalize};
use crate::by_id::IdSet;

/// Live intents, or whatever else has a scope, by what they cover. Derived from the session: two sessions that are equal
/// have equal indexes.
///
/// A lookup costs what the asked scope lists and what is found, with two exceptions: patterns that begin with an
/// operator are compared with every file or pattern asked for, and such a pattern, when asked for, with every live file;
/// so is any pattern while none has been added.
#[derive(Clone, Debug)]
pub struct ScopeIndex<K = IntentId> {
    names: Names,
    seed: u64,
    /// Of each kind of set, entry to those that list it.
    by_entry: Listed<Class, K>,
    /// The files among them in order. Only patterns need that: it is made with the first, and kept until nothing is listed
    /// and no pattern is there. If it went with the last pattern, one participant could have all files sorted again and again.
    paths: Option<BTreeSet<String>>,
    /// All of a kind, those with canonical URIs apart: another kind may overlap any of them.
    by_class: BTreeMap<(Class, bool), IdSet<K>>,
    /// Canonical URI and kind to those that carry it.
    by_uri: Listed<Class, K>,
    /// Patterns, normalised, by the path they begin with.
    patterns: BTreeMap<String, BTreeMap<K, String>>,
    /// Files that edits reach, to those that declare it.
    by_impact: Listed<(), K>,
}

impl<K> Default for ScopeIndex<K> {
    fn default() -> Self {
        Self::new(Names::default(), 0)
    }
}

/// Whether the paths are in order, and how the hashes were made, is nobody's business.
impl<K: Ord + Clone + Hash> PartialEq for ScopeIndex<K> {
    fn eq(&self, other: &Self) -> bool {
        let Self { names, seed: _, by_entry, paths: _, by_class, by_uri, patterns, by_impact } = self;
        *names == other.names
            && *by_entry == other.by_entry
            && *by_class == other.by_class
            && *by_uri == other.by_uri
            && *patterns == other.patterns
            && *by_impact == other.by_impact
    }
}

impl<K: Ord + Clone + Hash> Eq for ScopeIndex<K> {}

/// What was found so far: the names that are shared.
type Hits<K> = BTreeMap<K, Vec<String>>;

impl<K> ScopeIndex<K> {
    /// An empty index, under these names. Participants choose what is listed and must not know the seed: it is what
    /// keeps them from choosing entries that are all kept in one place.
    pub fn new(names: Names, seed: u64) -> Self {
        Self {
            names,
            seed,
            by_entry: Listed::new(seed),
            paths: None,
            by_class: BTreeMap::new(),
            by_uri: Listed::new(seed),
            patterns: BTreeMap::new(),
            by_impact: Listed::new(seed),
        }
    }

    /// The names scopes are compared by.
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// The same names, and nothing else.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self::new(self.names.clone(), self.seed)
    }
}

impl<K: Ord + Clone + Hash> ScopeIndex<K> {
    /// Adds one.
    pub fn insert(&mut self, key: &K, scope: &Scope) {
        self.add(key, Outline::of(&self.names, scope));
    }

    /// The same, and says what of the others it overlaps, and in what.
    pub fn insert_among(&mut self, key: &K, scope: &Scope) -> BTreeMap<K, Overlap> {
        let outline = Outline::of(&self.names, scope);
        let found = self.overlapping(&outline);
        self.add(key, outline);
        found
    }

    fn add(&mut self, key: &K, outline: Outline<'_>) {
        let class = outline.class;
        let like_it = self.by_class.entry((class, outline.known.complete));
        like_it.or_insert_with(|| IdSet::new(self.seed)).insert(key.clone(), ());
        for uri in &outline.known.uris {
            self.by_uri.put(class, uri, key);
        }
        for entry in outline.entries.iter() {
            let is_new = self.by_entry.put(class, entry, key);
            if let Some(paths) = self.paths.as_mut().filter(|_| is_new && class == Class::Files) {
                paths.insert(entry.to_owned());
            }
        }
        if let Some(pattern) = outline.pattern {
            let in_order =
                || self.by_entry.names(Class::Files, |_| true).into_iter().map(String::from).collect();
            self.paths.get_or_insert_with(in_order);
            let beginning = glob::literal_beginning(&pattern).into();
            self.patterns.entry(beginning).or_default().insert(key.clone(), pattern);
        }
        if class == Class::Files {
            for file in dependency::impact(outline.scope) {
                self.by_impact.put((), &file, key);
            }
        }
    }

    /// Takes one away; `scope` is the one it was inserted with.
    pub fn remove(&mut self, key: &K, scope: &Scope) {
        let outline = Outline::of(&self.names, scope);
        let class = outline.class;
        if let Some(all) = self.by_class.get_mut(&(class, outline.known.complete)) {
            all.remove(key);
            if all.is_empty() {
                self.by_class.remove(&(class, outline.known.complete));
            }
        }
        for uri in &outline.known.uris {
            self.by_uri.take(class, uri, key);
        }
        for entry in outline.entries.iter() {
            let is_gone = self.by_entry.take(class, entry, key);
            if let Some(paths) = self.paths.as_mut().filter(|_| is_gone && class == Class::Files) {
                paths.remove(entry);
            }
        }
        if let Some(pattern) = outline.pattern {
            let beginning = glob::literal_beginning(&pattern);
            if let Some(known) = self.patterns.get_mut(beginning) {
                known.remove(key);
                if known.is_empty() {
                    self.patterns.remove(beginning);
                }
            }
        }
        if class == Class::Files {
            for file in dependency::impact(scope) {
                self.by_impact.take((), &file, key);
            }
        }
        if self.by_entry.is_empty() && self.patterns.is_empty() {
            self.paths = None;
        }
    }

    /// Every other one whose edits may reach `scope`, or be reached by its edits (SCO-18).
    pub fn dependents(&self, scope: &Scope) -> BTreeSet<K> {
        let mut found = BTreeSet::new();
        let (class, files) = if self.by_impact.is_empty() && scope.extensions.is_none() {
            return found; // nobody has declared anything
        } else {
            entries(scope)
        };
        if class == Class::Files {
            for file in files.iter().filter(|_| !self.by_impact.is_empty()) {
                found.extend(self.by_impact.of((), file).cloned());
            }
            for file in dependency::impact(scope) {
                found.extend(self.by_entry.of(Class::Files, &file).cloned());
            }
        }
        found
    }

    /// Everything that overlaps `scope`, and in what: as [`overlap`](super::overlap()) says of each.
    pub fn overlaps(&self, scope: &Scope) -> BTreeMap<K, Overlap> {
        self.overlapping(&Outline::of(&self.names, scope))
    }

    fn overlapping(&self, asked: &Outline<'_>) -> BTreeMap<K, Overlap> {
        let told = asked.known.complete;
        let mut found: BTreeMap<K, Overlap> = BTreeMap::new();
        // Weakest first: what is known takes the place of what is assumed.
        for ((class, also_told), keys) in &self.by_class {
            if !(is_compared(asked.class, *class) || told && *also_told) {
                found.append(&mut keys.each_with(&Overlap::Assumed));
            }
        }
        let hits = match (&asked.pattern, asked.class) {
            (Some(pattern), _) => self.files_of(pattern),
            (None, Class::Files) => self.patterns_on(asked.entries.iter()),
            (None, _) => Hits::new(),
        };
        // Of those that both say what they are, URIs decide (D-066).
        let theirs = if asked.class == Class::Files { Class::Pattern } else { Class::Files };
        let decided = self.by_class.get(&(theirs, true)).filter(|_| told);
        let hits = hits.into_iter().filter(|(key, _)| !decided.is_some_and(|keys| keys.contains_key(key)));
        found.extend(hits.map(|(key, names)| (key, Overlap::Shared(names))));
        if let Some(pattern) = &asked.pattern {
            let met = self.patterns_that_meet(pattern).cloned();
            found.extend(met.map(|key| (key, Overlap::Shared([pattern.clone()].into()))));
        }
        let by_name =
            if asked.class.is_set() { self.sharing(asked.class, &asked.entries) } else { Hits::new() };
        for (key, names) in by_name.into_iter().chain(self.by_uris(asked)) {
            found.insert(key, Overlap::Shared(names));
        }
        found
    }

    /// Everything that an operation's target provably lies in (D-069).
    pub fn covering(&self, target: &str) -> BTreeSet<K> {
        let path = normalize(target);
        let mut found: BTreeSet<K> = self.patterns_on([path.as_str()]).into_keys().collect();
        let lists = [(Class::Files, path.as_str()), (Class::Entities, target), (Class::Tasks, target)];
        found.extend(lists.into_iter().flat_map(|(class, name)| self.by_entry.of(class, name)).cloned());
        for uri in self.names.of_target(target) {
            found.extend(Class::ALL.into_iter().flat_map(|class| self.by_uri.of(class, &uri)).cloned());
        }
        found
    }

    /// Everything of a kind that does not say what it covers.
    pub fn opaque(&self) -> impl Iterator<Item = &K> {
        let all = [false, true].into_iter().filter_map(|told| self.by_class.get(&(Class::Opaque, told)));
        all.flat_map(IdSet::keys)
    }

    fn sharing(&self, class: Class, entries: &outline::Entries<'_>) -> Hits<K> {
        let mut hits = Hits::new();
        for entry in entries.iter() {
            for key in self.by_entry.of(class, entry) {
                hits.entry(key.clone()).or_default().push(entry.to_owned());
            }
        }
        hits
    }

    /// Sets of the asked kind go by their own rule alone (D-067).
    fn by_uris(&self, asked: &Outline<'_>) -> Hits<K> {
        let mut hits = Hits::new();
        let classes = Class::ALL.into_iter().filter(|class| !(class.is_set() && *class == asked.class));
        for class in classes {
            for uri in &asked.known.uris {
                for key in self.by_uri.of(class, uri) {
                    hits.entry(key.clone()).or_default().push(uri.clone());
                }
            }
        }
        hits
    }

    /// The listed files that a pattern matches.
    fn files_of(&self, pattern: &str) -> Hits<K> {
        let mut hits = Hits::new();
        let beginning = glob::literal_beginning(pattern);
        let is_met = |file: &str| glob::matches(pattern, file);
        let files: Vec<&str> = match &self.paths {
            Some(paths) => {
                let there = paths.get(beginning).into_iter().chain(paths.range(below(beginning)));
                there.map(String::as_str).filter(|file| is_met(file)).collect()
            }
            None => self.by_entry.names(Class::Files, |file| file.starts_with(beginning) && is_met(file)),
        };
        for file in files {
            for key in self.by_entry.of(Class::Files, file) {
                hits.entry(key.clone()).or_default().push(file.to_owned());
            }
        }
        hits
    }

    /// The patterns that match one of these files, and which.
    fn patterns_on<'a>(&self, files: impl IntoIterator<Item = &'a str>) -> Hits<K> {
        let mut hits = Hits::new();
        if self.patterns.is_empty() {
            return hits;
        }
        for file in files {
            for beginning in beginnings(file) {
                for (key, pattern) in self.patterns.get(beginning).into_iter().flatten() {
                    if glob::matches(pattern, file) {
                        hits.entry(key.clone()).or_default().push(file.to_owned());
                    }
                }
            }
        }
        hits
    }

    fn patterns_that_meet<'a>(&'a self, pattern: &'a str) -> impl Iterator<Item = &'a K> {
        let beginning = glob::literal_beginning(pattern);
        // Those that begin further up, then those that begin there or further down.
        let above = beginnings(beginning).filter(move |up| *up != beginning);
        let above = above.filter_map(|up| self.patterns.get(up));
        let there = self.patterns.get(beginning);
        let below = self.patterns.range(below(beginning)).map(|(_, known)| known);
        let met =
            above.chain(there).chain(below).flatten().filter(|(_, other)| glob::intersects(pattern, other));
        met.map(|(key, _)| key)
    }
}

/// Whether the overlap of two kinds is found by comparing, so that nothing has to be assumed.
fn is_compared(asked: Class, other: Class) -> bool {
    match (asked, other) {
        (Class::Files | Class::Pattern, Class::Files | Class::Pattern) => true,
        _ => asked == other && asked.is_set(),
    }
}

/// A path and all that it lies in, from the empty one down.
fn beginnings(path: &str) -> impl Iterator<Item = &str> {
    let folders =
        path.match_indices('/').filter_map(|(at, _)| path.get(..at)).filter(|folder| !folder.is_empty());
    let own = (!path.is_empty()).then_some(path);
    [""].into_iter().chain(folders).chain(own)
}

/// Where all that lies below a path stands in an order of paths; for the empty one, all but it.
fn below(path: &str) -> (Bound<String>, Bound<String>) {
    if path.is_empty() {
        return (Bound::Excluded(String::new()), Bound::Unbounded);
    }
    // `0` is what follows `/`.
    (Bound::Included(alloc::format!("{path}/")), Bound::Excluded(alloc::format!("{path}0")))
}

#[cfg(test)]
pub(crate) mod tests {
    use mpac_wire::names::ScopeKind;
    use mpac_wire::policy::ResourceRegistry;
    use proptest::prelude::*;

    use super::*;
    use crate::scope::{contains_target, overlap};

    /// `a` is a file, an entity, a task and a pattern; `b` a file and an entity under another name.
    pub(crate) fn registry() -> ResourceRegistry {
        let text = r#"{"mappings":[
            {"canonical_uri":"u","aliases":[{"kind":"file_set","value":"./a"},{"kind":"entity_set","value":"a"},
                {"kind":"task_set","value":"a"},{"kind":"resource_path","value":"a"}]},
            {"canonical_uri":"w","aliases":[{"kind":"file_set","value":"b"},{"kind":"entity_set","value":"b/a"}]}]}"#;
        serde_json::from_str(text).unwrap()
    }

    pub(crate) fn any_scope() -> impl Strategy<Value = Scope> {
        let names = || proptest::collection::vec("[./]{0,2}[ab]/?[ab]?", 0..4);
        let pattern = "[ab*?/]{1,6}";
        let uris = proptest::option::of(proptest::collection::vec("[uv]", 0..2));
        (0..5, names(), pattern, uris).prop_map(|(kind, names, pattern, uris)| {
            let mut scope = match kind {
                0 => Scope::files(names),
                1 => Scope::entities(names),
                2 => Scope::tasks(names),
                3 => Scope::new(ScopeKind::ResourcePath),
                _ => Scope::new(ScopeKind::Custom),
            };
            if kind == 3 {
                scope.pattern = Some(pattern);
            }
            scope.canonical_uris = uris;
            scope
        })
    }

    pub(super) fn indexed(scopes: Vec<Scope>, registered: bool) -> (ScopeIndex, Vec<(IntentId, Scope)>) {
        let named: Vec<(IntentId, Scope)> = scopes
            .into_iter()
            .enumerate()
            .map(|(n, scope)| (IntentId::new(alloc::format!("i{n}")).unwrap(), scope))
            .collect();
        let registry = registered.then(registry);
        let mut index = ScopeIndex::new(Names::new(registry.as_ref()), 7);
        for (intent, scope) in &named {
            index.insert(intent, scope);
        }
        (index, named)
    }

    proptest! {
        /// The index finds what comparing one by one finds, whatever came and went, and taking all away leaves it empty.
        #[test]
        fn overlaps_are_those_of_each(steps in proptest::collection::vec((any_scope(), any::<bool>()), 0..10), asked in any_scope(), registered in any::<bool>()) {
            let (mut index, mut live) = indexed(Vec::new(), registered);
            for (n, (scope, one_ends)) in steps.into_iter().enumerate() {
                let intent = IntentId::new(alloc::format!("i{n}")).unwrap();
                index.insert(&intent, &scope);
                live.push((intent, scope));
                if one_ends {
                    let (intent, scope) = live.remove(n % live.len());
                    index.remove(&intent, &scope);
                }
                let by_one = |(intent, scope): &(IntentId, Scope)| Some((intent.clone(), overlap(index.names(), &asked, scope)?));
                prop_assert_eq!(index.overlaps(&asked), live.iter().filter_map(by_one).collect());
                let files = index.by_entry.names(Class::Files, |_| true);
                prop_assert!(index.paths.as_ref().is_none_or(|paths| paths.iter().eq(files)), "{:?}", index.paths);
                prop_assert!(index.paths.is_some() || index.patterns.is_empty());
            }
            live.iter().for_each(|(intent, scope)| index.remove(intent, scope));
            prop_assert_eq!(&index, &index.emptied());
            prop_assert!(index.paths.is_none());
        }

        #[test]
        fn holders_are_those_of_each(scopes in proptest::collection::vec(any_scope(), 0..8), target in "[./]{0,2}[abuvw]/?[ab]?", registered in any::<bool>()) {
            let (index, named) = indexed(scopes, registered);
            let (found, opaque) = (index.covering(&target), index.opaque().cloned().collect::<BTreeSet<_>>());
            for (intent, scope) in &named {
                let inside = contains_target(index.names(), scope, &target);
                prop_assert_eq!(found.contains(intent), inside == Some(true), "{} {:?}", intent, scope);
                prop_assert!(inside.is_some() || opaque.contains(intent), "{} {:?}", intent, scope);
            }
        }
    }
}
