//! What a Rust file names: the paths in its code, and the texts in its string literals. A small
//! lexer is enough: comments are skipped, `use` trees are unfolded, `crate`, `self` and `super`
//! are resolved.

/// A file below a package's `src/` (or `tests/`), by its path from there.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) struct Found<T> {
    pub(crate) line: usize,
    pub(crate) what: T,
}

pub(crate) struct Scan {
    /// Paths as segments. One that begins with `crate` is within the package.
    pub(crate) paths: Vec<Found<Vec<String>>>,
    pub(crate) texts: Vec<Found<String>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    /// `::`
    Step,
    Other(char),
}

impl Source {
    pub(crate) fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// The module that the file is: `motion/detector.rs` -> `crate::motion::detector`.
    pub(crate) fn module(&self) -> Vec<String> {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let levels = stem.split('/').filter(|level| !["mod", "lib", "main"].contains(level));
        std::iter::once("crate").chain(levels).map(str::to_owned).collect()
    }

    /// The file up to its inline tests, which stand at its end.
    pub(crate) fn without_tests(&self) -> Self {
        let tests = ["\nmod tests {", "\npub(crate) mod tests {"];
        let end = tests.iter().filter_map(|tests| self.text.find(tests)).min();
        let text = self.text[..end.unwrap_or(self.text.len())].to_owned();
        Self { path: self.path.clone(), text }
    }

    pub(crate) fn scan(&self) -> Scan {
        let tokens = Lexer::new(&self.text).tokens();
        let texts = tokens.iter().filter_map(|found| match &found.what {
            Token::Text(text) => Some(Found { line: found.line, what: text.clone() }),
            _ => None,
        });
        Scan { texts: texts.collect(), paths: Paths::new(&tokens, self.module()).collect() }
    }
}

struct Lexer {
    letters: Vec<char>,
    at: usize,
    line: usize,
}

impl Lexer {
    fn new(text: &str) -> Self {
        Self { letters: text.chars().collect(), at: 0, line: 1 }
    }

    fn tokens(mut self) -> Vec<Found<Token>> {
        let mut tokens = Vec::new();
        while let Some(letter) = self.peek(0) {
            let line = self.line;
            if let Some(what) = self.token(letter) {
                tokens.push(Found { line, what });
            }
        }
        tokens
    }

    fn token(&mut self, letter: char) -> Option<Token> {
        match letter {
            '/' if self.peek(1) == Some('/') => {
                self.skip_while(|letter| letter != '\n');
                None
            }
            '/' if self.peek(1) == Some('*') => {
                self.skip_block_comment();
                None
            }
            '"' => Some(self.plain_text()),
            '\'' => {
                self.skip_character();
                None
            }
            ':' if self.peek(1) == Some(':') => {
                self.step(2);
                Some(Token::Step)
            }
            _ if letter.is_alphabetic() || letter == '_' => Some(self.name_or_raw_text()),
            _ => {
                self.step(1);
                (!letter.is_whitespace()).then_some(Token::Other(letter))
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at + ahead).copied()
    }

    fn step(&mut self, count: usize) {
        for letter in self.letters.iter().skip(self.at).take(count) {
            self.line += usize::from(*letter == '\n');
        }
        self.at += count;
    }

    fn skip_while(&mut self, condition: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&condition) {
            self.step(1);
        }
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while self.peek(0).is_some() {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                _ => {
                    self.step(1);
                    continue;
                }
            }
            self.step(2);
            if depth == 0 {
                return;
            }
        }
    }

    fn plain_text(&mut self) -> Token {
        self.step(1);
        let start = self.at;
        while self.peek(0).is_some_and(|letter| letter != '"') {
            self.step(if self.peek(0) == Some('\\') { 2 } else { 1 });
        }
        let text = self.letters[start..self.at.min(self.letters.len())].iter().collect();
        self.step(1);
        Token::Text(text)
    }

    /// A character such as `'"'`; a lifetime is left as its name.
    fn skip_character(&mut self) {
        match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                self.step(3);
                self.skip_while(|letter| letter != '\'');
                self.step(1);
            }
            (Some(_), Some('\'')) => self.step(3),
            _ => self.step(1),
        }
    }

    fn name_or_raw_text(&mut self) -> Token {
        let start = self.at;
        self.skip_while(|letter| letter.is_alphanumeric() || letter == '_');
        let name: String = self.letters[start..self.at].iter().collect();
        let hashes = self.letters[self.at..].iter().take_while(|letter| **letter == '#').count();
        if name.ends_with('r') && name.len() <= 2 && self.peek(hashes) == Some('"') {
            return self.raw_text(hashes);
        }
        Token::Name(name)
    }

    fn raw_text(&mut self, hashes: usize) -> Token {
        self.step(hashes + 1);
        let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
        let start = self.at;
        while self.at < self.letters.len() && !self.letters[self.at..].starts_with(&end) {
            self.step(1);
        }
        let text = self.letters[start..self.at].iter().collect();
        self.step(end.len());
        Token::Text(text)
    }
}

/// Walks the tokens, keeps track of inline modules, and unfolds paths.
struct Paths<'a> {
    tokens: &'a [Found<Token>],
    at: usize,
    file_module: Vec<String>,
    /// Inline modules that are open, with the depth of their brace.
    inline: Vec<(String, usize)>,
    depth: usize,
    found: Vec<Found<Vec<String>>>,
}

impl<'a> Paths<'a> {
    fn new(tokens: &'a [Found<Token>], file_module: Vec<String>) -> Self {
        Self { tokens, at: 0, file_module, inline: Vec::new(), depth: 0, found: Vec::new() }
    }

    fn collect(mut self) -> Vec<Found<Vec<String>>> {
        while let Some(token) = self.peek(0) {
            match token {
                Token::Name(name) if name == "use" => {
                    self.at += 1;
                    self.tree(&[]);
                }
                Token::Name(name) if name == "mod" => self.inline_module(),
                Token::Name(_) if self.peek(1) == Some(&Token::Step) => self.tree(&[]),
                Token::Other('{') => {
                    self.depth += 1;
                    self.at += 1;
                }
                Token::Other('}') => {
                    self.depth = self.depth.saturating_sub(1);
                    self.inline.retain(|(_, depth)| *depth <= self.depth);
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        self.found
    }

    fn peek(&self, ahead: usize) -> Option<&'a Token> {
        self.tokens.get(self.at + ahead).map(|found| &found.what)
    }

    fn inline_module(&mut self) {
        self.at += 1;
        if let (Some(Token::Name(name)), Some(Token::Other('{'))) = (self.peek(0), self.peek(1)) {
            self.inline.push((name.clone(), self.depth + 1));
        }
    }

    /// A path, or in a `use` a tree of them: `a::{b, c::d as e, f::*}`.
    fn tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        loop {
            let line = self.tokens.get(self.at).map_or(0, |found| found.line);
            match self.peek(0) {
                Some(Token::Step) => self.at += 1,
                Some(Token::Name(name)) => {
                    path.push(name.clone());
                    self.at += 1;
                    if self.peek(0) != Some(&Token::Step) {
                        return self.add(line, &path);
                    }
                }
                Some(Token::Other('{')) => return self.branches(&path),
                // `*`, or the type arguments of `path::<T>`.
                _ => return self.add(line, &path),
            }
        }
    }

    fn branches(&mut self, prefix: &[String]) {
        self.at += 1;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Other('}') => {
                    self.at += 1;
                    return;
                }
                Token::Name(name) if name == "as" => self.at += 2,
                Token::Name(_) => self.tree(prefix),
                Token::Other('{') => self.branches(prefix),
                _ => self.at += 1,
            }
        }
    }

    fn add(&mut self, line: usize, path: &[String]) {
        if let Some(what) = self.resolve(path) {
            self.found.push(Found { line, what });
        }
    }

    /// Rewrites `self` and `super` to a path from `crate`.
    fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        let first = path.first()?;
        if first != "self" && first != "super" {
            return Some(path.to_vec());
        }
        let inline = self.inline.iter().map(|(name, _)| name.clone());
        let mut module: Vec<String> = self.file_module.iter().cloned().chain(inline).collect();
        let mut rest = path;
        while let Some((head, tail)) = rest.split_first() {
            match head.as_str() {
                "self" => {}
                "super" => {
                    module.pop();
                }
                _ => break,
            }
            rest = tail;
        }
        Some(module.into_iter().chain(rest.iter().cloned()).collect())
    }
}
