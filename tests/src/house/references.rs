//! The walk through a parsed file.
//!
//! In: a syntax tree and the module that it is. Out: the paths, literals and structs in it. Macros are read as tokens, for their arguments are
//! code too; `self` and `super` are made absolute; documentation is passed over.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::house::source::{Literal, Reference};

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) references: Vec<Reference>,
    pub(crate) literals: Vec<Literal>,
    pub(crate) structs: Vec<String>,
}

pub(crate) fn collect(file: &syn::File, module: &[String], in_test: bool) -> Found {
    let mut walk = Walk { module: module.to_vec(), tests: usize::from(in_test), found: Found::default() };
    walk.visit_file(file);
    walk.found
}

struct Walk {
    /// The module whose code is being walked.
    module: Vec<String>,
    /// How many of the surrounding things are for tests alone.
    tests: usize,
    found: Found,
}

impl Walk {
    fn refer(&mut self, line: usize, parts: &[String], alias: Option<String>) {
        let parts = absolute(parts, &self.module);
        self.found.references.push(Reference { line, parts, alias });
    }

    fn literal(&mut self, literal: &syn::Lit) {
        let text = match literal {
            syn::Lit::Str(text) => text.value(),
            syn::Lit::ByteStr(bytes) => String::from_utf8_lossy(&bytes.value()).into_owned(),
            syn::Lit::CStr(text) => text.value().to_string_lossy().into_owned(),
            _ => return,
        };
        self.found.literals.push(Literal { line: literal.span().start().line, text, in_test: self.tests > 0 });
    }

    fn import(&mut self, tree: &syn::UseTree, before: &[String]) {
        let line = tree.span().start().line;
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.import(item, before)),
            syn::UseTree::Glob(_) => self.refer(line, &[before, &["*".to_owned()]].concat(), None),
            // `use a::{self}` names `a`.
            syn::UseTree::Name(name) if name.ident == "self" && !before.is_empty() => self.refer(line, before, None),
            syn::UseTree::Name(name) => self.refer(line, &with(&name.ident), None),
            syn::UseTree::Rename(name) if name.ident == "self" && !before.is_empty() => {
                self.refer(line, before, Some(name.rename.to_string()))
            }
            syn::UseTree::Rename(name) => self.refer(line, &with(&name.ident), Some(name.rename.to_string())),
        }
    }

    /// Paths and literals in the arguments of a macro or an attribute.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut parts: Vec<String> = Vec::new();
        let mut line = 0;
        let mut joined = false;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if !joined {
                        self.end_path(line, &mut parts);
                        line = ident.span().start().line;
                    }
                    parts.push(ident.to_string());
                    (joined, colons) = (false, 0);
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    joined = colons == 2 && punct.spacing() == Spacing::Alone;
                }
                TokenTree::Punct(_) => {
                    self.end_path(line, &mut parts);
                    (joined, colons) = (false, 0);
                }
                TokenTree::Literal(literal) => {
                    self.literal(&syn::Lit::new(literal));
                    self.end_path(line, &mut parts);
                    (joined, colons) = (false, 0);
                }
                TokenTree::Group(group) => {
                    // `use a::{b, c}` in a macro: what comes is told with what came before.
                    if joined && let Ok(tree) = syn::parse2::<syn::UseTree>(TokenStream::from(TokenTree::Group(group.clone()))) {
                        self.import(&tree, &std::mem::take(&mut parts));
                    }
                    self.end_path(line, &mut parts);
                    (joined, colons) = (false, 0);
                    self.tokens(group.stream());
                }
            }
        }
        self.end_path(line, &mut parts);
    }

    fn end_path(&mut self, line: usize, parts: &mut Vec<String>) {
        if parts.len() > 1 {
            self.refer(line, parts, None);
        }
        parts.clear();
    }
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.refer(path.span().start().line, &parts, None);
        visit::visit_path(self, path);
    }

    fn visit_expr_path(&mut self, expr: &'ast syn::ExprPath) {
        // `<Fact>::new` is `Fact::new` in other clothes.
        if let Some(syn::QSelf { ty, position: 0, .. }) = &expr.qself
            && let syn::Type::Path(of) = ty.as_ref()
        {
            let parts: Vec<String> = of.path.segments.iter().chain(&expr.path.segments).map(|segment| segment.ident.to_string()).collect();
            self.refer(expr.span().start().line, &parts, None);
        }
        visit::visit_expr_path(self, expr);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let for_tests = usize::from(is_for_tests(&item.attrs));
        self.tests += for_tests;
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
        self.tests -= for_tests;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let for_tests = usize::from(is_for_tests(&item.attrs));
        self.tests += for_tests;
        visit::visit_item_fn(self, item);
        self.tests -= for_tests;
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.found.structs.push(item.ident.to_string());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        // An alias of a type is that type under another name.
        if let syn::Type::Path(of) = item.ty.as_ref() {
            let parts: Vec<String> = of.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.refer(item.span().start().line, &parts, Some(item.ident.to_string()));
        }
        visit::visit_item_type(self, item);
    }

    fn visit_lit(&mut self, literal: &'ast syn::Lit) {
        self.literal(literal);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        match &attribute.meta {
            syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => {}
            syn::Meta::NameValue(pair) => self.visit_expr(&pair.value),
            syn::Meta::List(list) => self.tokens(list.tokens.clone()),
            syn::Meta::Path(_) => {}
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg") && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test"))
    })
}

/// `self` and `super` resolved against the module in which they stand.
fn absolute(parts: &[String], module: &[String]) -> Vec<String> {
    let supers = parts.iter().skip_while(|part| *part == "self").take_while(|part| *part == "super").count();
    let selves = parts.iter().take_while(|part| *part == "self").count();
    if supers + selves == 0 {
        return parts.to_vec();
    }
    let kept = module.len().saturating_sub(supers);
    let above = module.iter().take(kept).cloned();
    std::iter::once("crate".to_owned()).chain(above).chain(parts.iter().skip(supers + selves).cloned()).collect()
}
