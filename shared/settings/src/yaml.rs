//! From YAML text to a tree of nodes with places.
//!
//! In: one document (YAML 1.2 by serde-saphyr's parser). Out: its tree, aliases and merge keys (`<<`) resolved. Refuses: bad syntax, a second
//! document, tags other than the core schema's, keys that are no text, nesting, nodes and bytes beyond the ceilings (aliases count as what
//! they stand for, so that a "billion laughs" ends early). Never: guesses types; that is left to whoever reads the node.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_saphyr::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, Span, Tag, options};

use crate::files::DOCUMENT_BYTES_MAX;
use crate::tree::{Entry, Mark, Node, Scalar, Shape, join_index, join_key};
use crate::words::quote;

/// How deep lists and mappings may lie in each other; also what bounds the recursion of everything that walks the tree.
pub(crate) const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 100_000;
/// Texts of all nodes, aliases counted as what they stand for.
const TEXT_BYTES_MAX: usize = 2 * DOCUMENT_BYTES_MAX;

/// Something wrong with the document, at a place.
pub(crate) struct Snag {
    pub(crate) mark: Mark,
    pub(crate) path: String,
    pub(crate) what: String,
    pub(crate) remedy: String,
}

/// The tree of the document in `text`, and the snags that did not keep it from being read. `None` for a document without content.
pub(crate) fn parse(text: &str) -> Result<(Option<Node>, Vec<Snag>), Snag> {
    let nesting = DEPTH_MAX + 1;
    let mut options = options! { flow_nesting_limit: nesting, block_nesting_limit: nesting };
    options.set_emit_comments(false);
    let mut builder = Builder::new(text, options);
    let mut root = builder.document()?;
    if let Some(node) = &mut root {
        node.number(&mut 0);
    }
    Ok((root, builder.snags))
}

struct Builder<'t> {
    parser: Box<dyn Iterator<Item = Result<(Event<'t>, Span), Snag>> + 't>,
    anchors: HashMap<usize, Node>,
    snags: Vec<Snag>,
    path: String,
    nodes_left: usize,
    bytes_left: usize,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str, options: Options) -> Self {
        let parser = Parser::new_from_str_with_options(text, options).map(|next| {
            next.map_err(|error| {
                let (what, remedy) = match error.kind() {
                    ErrorKind::RecursionLimitExceeded => (too_deep(), TOO_DEEP_REMEDY),
                    _ => (
                        format!("this is not YAML: {}", error.info()),
                        "mend the syntax at this place or just before it; nothing after it was read",
                    ),
                };
                Snag { mark: mark_of(error.marker().line(), error.marker().col()), path: String::new(), what, remedy: remedy.to_owned() }
            })
        });
        Self {
            parser: Box::new(parser),
            anchors: HashMap::new(),
            snags: Vec::new(),
            path: String::new(),
            nodes_left: NODES_MAX,
            bytes_left: TEXT_BYTES_MAX,
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Snag> {
        let mut root = None;
        while let Some(next) = self.parser.next() {
            match next? {
                (Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (_, span) if root.is_some() => {
                    return Err(self.snag(
                        mark(span),
                        "a second document begins here",
                        "keep one document a file: remove the line \"---\" before it",
                    ));
                }
                (Event::Scalar(..), span) if span.is_empty() => {}
                (event, span) => root = Some(self.node(event, span, 0)?),
            }
        }
        Ok(root)
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Snag> {
        let at = mark(span);
        let tag_at = span.tag_start.map_or(at, |start| mark_of(start.line(), start.col()));
        if depth > DEPTH_MAX {
            return Err(self.snag(at, too_deep(), TOO_DEEP_REMEDY));
        }
        let (shape, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(at, 1, text.len())?;
                (Shape::Scalar(self.scalar(tag_at, text, style, tag.as_deref())?), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.spend(at, 1, 0)?;
                self.refuse_tag(tag_at, tag.as_deref())?;
                (self.sequence(depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.spend(at, 1, 0)?;
                self.refuse_tag(tag_at, tag.as_deref())?;
                (self.mapping(depth)?, anchor)
            }
            Event::Alias(anchor) => return self.alias(at, anchor, depth),
            _ => return Err(self.snag(at, "this is not YAML that a configuration can hold", "write a text, a list or a mapping")),
        };
        let node = Node::new(at, shape);
        if anchor != 0 {
            // The kept copy is paid for like any other, for anchors can lie within anchors.
            self.spend_for(at, &node)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn scalar(&self, at: Mark, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar, Snag> {
        let plain = match tag.map(|tag| (tag.core_suffix(), tag.suffix())) {
            None => style == ScalarStyle::Plain,
            // "!" alone and "!!str" say "a text", like quotes.
            Some((Some("str"), _) | (None, "")) => false,
            Some((Some("int" | "float" | "bool" | "null"), _)) => true,
            Some(_) => {
                self.refuse_tag(at, tag)?;
                false
            }
        };
        Ok(Scalar { text: text.into_owned(), plain, from_env: false })
    }

    fn sequence(&mut self, depth: usize) -> Result<Shape, Snag> {
        let mut nodes = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Shape::Sequence(nodes));
            }
            let outer = std::mem::take(&mut self.path);
            self.path = join_index(&outer, nodes.len());
            nodes.push(self.node(event, span, depth + 1)?);
            self.path = outer;
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Shape, Snag> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, u32> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let at = mark(span);
            let key = self.key(event, span)?;
            let (event, span) = self.next()?;
            let nothing = span.is_empty() && matches!(event, Event::Scalar(..));
            let outer = std::mem::take(&mut self.path);
            self.path = join_key(&outer, &key);
            let mut value = self.node(event, span, depth + 1)?;
            if nothing {
                // The parser puts "nothing" behind the key or on the next line; what the operator looks for is the key.
                value.mark = at;
            }
            if key == "<<" {
                merged.extend(self.merge(at, value)?);
            } else {
                if let Some(line) = seen.insert(key.clone(), at.line) {
                    let what = format!("the key {} stands twice, first on line {line}", quote(&key));
                    self.snags.push(self.snag(at, what, "keep one of them"));
                    value.gone.set(true);
                    seen.insert(key.clone(), line);
                }
                entries.push(Entry { key, mark: at, value, meant: None.into() });
            }
            self.path = outer;
        }
        // What a mapping says itself wins over what it merges, and the first merged over the later.
        let mut own: HashSet<String> = seen.into_keys().collect();
        entries.extend(merged.into_iter().filter(|entry| own.insert(entry.key.clone())));
        Ok(Shape::Mapping(entries))
    }

    fn key(&mut self, event: Event<'t>, span: Span) -> Result<String, Snag> {
        match self.node(event, span, 0)?.shape {
            Shape::Scalar(scalar) => Ok(scalar.text),
            Shape::Sequence(_) | Shape::Mapping(_) => Err(self.snag(mark(span), "this key is a list or a mapping", "write a text as key")),
        }
    }

    fn merge(&self, at: Mark, value: Node) -> Result<Vec<Entry>, Snag> {
        let sources = match value.shape {
            Shape::Sequence(nodes) => nodes,
            Shape::Mapping(_) | Shape::Scalar(_) => vec![value],
        };
        let mut entries = Vec::new();
        for source in sources {
            let Shape::Mapping(more) = source.shape else {
                return Err(self.snag(at, "\"<<\" merges something that is not a mapping", "give it an alias of a mapping"));
            };
            entries.extend(more);
        }
        Ok(entries)
    }

    /// A copy of the anchored node, which stands where the alias stands; what lies in it keeps its own place.
    fn alias(&mut self, at: Mark, anchor: usize, depth: usize) -> Result<Node, Snag> {
        let Some(node) = self.anchors.remove(&anchor) else {
            return Err(self.snag(at, "this alias lies within the node that it stands for", "write the values out"));
        };
        if depth + node.depth() > DEPTH_MAX {
            return Err(self.snag(at, too_deep(), TOO_DEEP_REMEDY));
        }
        self.spend_for(at, &node)?;
        let mut copy = node.clone();
        copy.mark = at;
        self.anchors.insert(anchor, node);
        Ok(copy)
    }

    fn spend_for(&mut self, at: Mark, node: &Node) -> Result<(), Snag> {
        let (nodes, bytes) = node.weight();
        self.spend(at, nodes, bytes)
    }

    fn spend(&mut self, at: Mark, nodes: usize, bytes: usize) -> Result<(), Snag> {
        match (self.nodes_left.checked_sub(nodes), self.bytes_left.checked_sub(bytes)) {
            (Some(nodes_left), Some(bytes_left)) => {
                (self.nodes_left, self.bytes_left) = (nodes_left, bytes_left);
                Ok(())
            }
            (None, _) => {
                Err(self.snag(at, format!("the document has more than {NODES_MAX} values, aliases written out"), "make it smaller"))
            }
            (_, None) => {
                Err(self.snag(at, format!("the document has more than {TEXT_BYTES_MAX} bytes, aliases written out"), "make it smaller"))
            }
        }
    }

    fn refuse_tag(&self, at: Mark, tag: Option<&Tag>) -> Result<(), Snag> {
        match tag {
            Some(tag) if !matches!(tag.core_suffix(), Some("map" | "seq")) => {
                Err(self.snag(at, format!("the tag {} means nothing here", quote(&tag.original())), "remove it"))
            }
            _ => Ok(()),
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Snag> {
        self.parser.next().unwrap_or_else(|| Err(self.snag(Mark::default(), "the document ends early", "write it to its end")))
    }

    fn snag(&self, mark: Mark, what: impl Into<String>, remedy: &str) -> Snag {
        Snag { mark, path: self.path.clone(), what: what.into(), remedy: remedy.to_owned() }
    }
}

impl Node {
    /// Nodes and bytes of text in the tree below, this node included.
    fn weight(&self) -> (usize, usize) {
        let own = match &self.shape {
            Shape::Scalar(scalar) => scalar.text.len(),
            Shape::Sequence(_) => 0,
            Shape::Mapping(entries) => entries.iter().map(|entry| entry.key.len()).sum(),
        };
        self.children().into_iter().map(Node::weight).fold((1, own), |sum, child| (sum.0 + child.0, sum.1 + child.1))
    }

    fn depth(&self) -> usize {
        self.children().into_iter().map(|child| child.depth() + 1).max().unwrap_or(0)
    }
}

const TOO_DEEP_REMEDY: &str = "flatten it; no setting lies that deep";

fn too_deep() -> String {
    format!("nested deeper than {DEPTH_MAX} levels")
}

fn mark(span: Span) -> Mark {
    mark_of(span.start.line(), span.start.col())
}

/// The parser counts columns from 0.
fn mark_of(line: usize, column: usize) -> Mark {
    let cap = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Mark { line: cap(line), column: cap(column.saturating_add(1)) }
}
