//! Reads an expression: text into tokens, tokens by recursive descent.

use super::{Comparison, Node, Number};
use crate::{
    mapping::{NAMED, RECORDED},
    settings::nearest,
};

/// Bytes.
const LONGEST: usize = 4096;
/// Parentheses and `not` within each other.
const DEEPEST: usize = 32;

/// The message says the column, in characters from 1, and quotes nothing of the text, in which there may be anything.
type Read<T> = Result<T, String>;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Name(String),
    Comparison(Comparison),
    Open,
    Close,
    End,
}

impl Token {
    /// What a person calls it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Name(name) => match &**name {
                "and" => "`and`",
                "or" => "`or`",
                "not" => "`not`",
                "function" => "`function`",
                _ => "a name",
            },
            Self::Comparison(_) => "a comparison",
            Self::Open => "`(`",
            Self::Close => "`)`",
            Self::End => "the end",
        }
    }

    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Name(name) if name == word)
    }
}

pub(super) fn parse(text: &str) -> Read<Node> {
    if text.len() > LONGEST {
        return Err(format!("the expression is longer than {LONGEST} bytes"));
    }
    let tokens = Lexer { rest: text, column: 1 }.tokens()?;
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), end: text.chars().count() + 1 };
    let node = parser.or(0)?;
    match parser.next() {
        (Token::End, _) => Ok(node),
        (found, column) => {
            let hint = match &found {
                Token::Name(name) => nearest(&name.to_lowercase(), &["and", "or"]),
                _ => String::new(),
            };
            Err(format!("column {column}: expected `and`, `or` or the end, found {}{hint}", found.kind()))
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    column: usize,
}

impl<'a> Lexer<'a> {
    fn tokens(mut self) -> Read<Vec<(Token, usize)>> {
        let mut tokens = Vec::new();
        loop {
            self.take(|c| c.is_whitespace());
            let column = self.column;
            let Some(first) = self.rest.chars().next() else { return Ok(tokens) };
            tokens.push((self.token(first)?, column));
        }
    }

    fn token(&mut self, first: char) -> Read<Token> {
        let column = self.column;
        let is_digit = |c: char| c.is_ascii_digit();
        if let Some((sign, comparison)) = Comparison::ALL.iter().find(|(sign, _)| self.rest.starts_with(sign))
        {
            self.skip(sign.len());
            return Ok(Token::Comparison(*comparison));
        }
        match first {
            '(' | ')' => {
                self.skip(1);
                Ok(if first == '(' { Token::Open } else { Token::Close })
            }
            '"' | '\'' => self.text(first),
            _ if first.is_alphabetic() || first == '_' => {
                Ok(Token::Name(self.take(|c| c.is_alphanumeric() || matches!(c, '_' | '.')).to_owned()))
            }
            _ if is_digit(first)
                || (first == '-' && self.rest.get(1..).is_some_and(|rest| rest.starts_with(is_digit))) =>
            {
                self.number()
            }
            '=' => Err(format!("column {column}: to compare is written `==`")),
            '&' => Err(format!("column {column}: `and` is written as a word")),
            '|' => Err(format!("column {column}: `or` is written as a word")),
            '!' => Err(format!("column {column}: `not` is written as a word")),
            _ => Err(format!("column {column}: this character has no meaning outside of text")),
        }
    }

    fn number(&mut self) -> Read<Token> {
        let column = self.column;
        let mut before = ' ';
        let text = self.take(|c| {
            let sign = matches!(c, '-' | '+') && matches!(before, ' ' | 'e' | 'E');
            before = c;
            sign || c.is_alphanumeric() || matches!(c, '.' | '_')
        });
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Token::Number(number)),
            Ok(_) => Err(format!("column {column}: the number is too large")),
            Err(_) => Err(format!(
                "column {column}: this is no number; it has no unit, which the statistic's name says"
            )),
        }
    }

    fn text(&mut self, quote: char) -> Read<Token> {
        let column = self.column;
        self.skip(1);
        let mut text = String::new();
        loop {
            text.push_str(self.take(|c| c != quote && c != '\\'));
            let mut rest = self.rest.chars();
            match (rest.next(), rest.next()) {
                (Some('\\'), Some(c @ ('\\' | '"' | '\''))) => {
                    text.push(c);
                    self.skip(2);
                }
                (Some('\\'), _) => {
                    return Err(format!(
                        "column {}: a `\\` stands before a quote or another `\\`",
                        self.column
                    ));
                }
                (Some(_), _) => {
                    self.skip(1);
                    return Ok(Token::Text(text));
                }
                (None, _) => {
                    return Err(format!("column {column}: the text has no end; a {quote} is missing"));
                }
            }
        }
    }

    /// The characters from here on that are wanted.
    fn take(&mut self, mut wanted: impl FnMut(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        (self.rest, self.column) = (rest, self.column + taken.chars().count());
        taken
    }

    /// Goes on after so many characters of one byte each.
    fn skip(&mut self, characters: usize) {
        (self.rest, self.column) =
            (self.rest.get(characters..).unwrap_or_default(), self.column + characters);
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<(Token, usize)>>,
    /// The column after the last one.
    end: usize,
}

impl Parser {
    fn next(&mut self) -> (Token, usize) {
        self.tokens.next().unwrap_or((Token::End, self.end))
    }

    fn next_is(&mut self, word: &str) -> bool {
        self.tokens.next_if(|(token, _)| token.is(word)).is_some()
    }

    fn or(&mut self, depth: usize) -> Read<Node> {
        let mut parts = Vec::new();
        loop {
            match self.and(depth)? {
                Node::Or(more) => parts.extend(more),
                part => parts.push(part),
            }
            if !self.next_is("or") {
                return Ok(single(parts).unwrap_or_else(Node::Or));
            }
        }
    }

    fn and(&mut self, depth: usize) -> Read<Node> {
        let mut parts = Vec::new();
        let start = self.tokens.peek().map_or(self.end, |(_, column)| *column);
        loop {
            let column = self.tokens.peek().map_or(self.end, |(_, column)| *column);
            match self.not(depth)? {
                Node::And(more) => parts.extend(more),
                part => parts.push(part),
            }
            if parts.iter().filter(|part| part.function().is_some()).count() > 1 {
                return Err(format!(
                    "column {column}: a conjunction is about one function; join those about several by `or`"
                ));
            }
            if self.next_is("and") {
                continue;
            }
            let is_choice =
                |part: &Node| matches!(part, Node::Or(or) if or.iter().any(|part| part.function().is_some()));
            if parts.len() > 1 && parts.iter().any(is_choice) {
                return Err(format!(
                    "column {start}: a choice of functions narrows nothing; write `function == .. and ..` for each, joined by `or`"
                ));
            }
            return Ok(single(parts).unwrap_or_else(Node::And));
        }
    }

    fn not(&mut self, depth: usize) -> Read<Node> {
        let column = self.tokens.peek().map_or(self.end, |(_, column)| *column);
        if depth > DEEPEST {
            return Err(format!("column {column}: parentheses and `not` are more than {DEEPEST} deep"));
        }
        if self.next_is("not") {
            return Ok(Node::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.tokens.next_if(|(token, _)| *token == Token::Open).is_none() {
            return self.comparison();
        }
        let node = self.or(depth + 1)?;
        match self.next() {
            (Token::Close, _) => Ok(node),
            (found, column) => {
                Err(format!("column {column}: expected `and`, `or` or `)`, found {}", found.kind()))
            }
        }
    }

    fn comparison(&mut self) -> Read<Node> {
        match self.next() {
            (Token::Name(name), _) if name == "function" => match self.sign()? {
                (Comparison::Equal, _) => self.text().map(Node::Function),
                (_, column) => Err(format!(
                    "column {column}: a function is compared by `==`; before that may stand `not`"
                )),
            },
            (Token::Name(name), column) if name.contains('.') => {
                if RECORDED.iter().any(|(recorded, _)| *recorded == name) {
                    return Err(format!(
                        "column {column}: this is a metric; a condition compares statistics, such as `error_rate`"
                    ));
                }
                match self.sign()? {
                    (sign @ (Comparison::Equal | Comparison::Unequal), _) => {
                        Ok(Node::Attribute(name, sign == Comparison::Equal, self.text()?))
                    }
                    (_, column) => Err(format!("column {column}: an attribute is compared by `==` or `!=`")),
                }
            }
            (left, column) => {
                let left = number(left, column)?;
                let (sign, _) = self.sign()?;
                let (right, column) = self.next();
                Ok(Node::Numbers(left, sign, number(right, column)?))
            }
        }
    }

    fn sign(&mut self) -> Read<(Comparison, usize)> {
        match self.next() {
            (Token::Comparison(comparison), column) => Ok((comparison, column)),
            (found, column) => {
                let signs = "`<`, `<=`, `>`, `>=`, `==` or `!=`";
                Err(format!("column {column}: expected {signs}, found {}", found.kind()))
            }
        }
    }

    fn text(&mut self) -> Read<String> {
        match self.next() {
            (Token::Text(text), _) => Ok(text),
            (found, column) => {
                Err(format!("column {column}: expected text in quotes, found {}", found.kind()))
            }
        }
    }
}

/// The only one; or all of them.
fn single(mut parts: Vec<Node>) -> Result<Node, Vec<Node>> {
    match parts.len() {
        1 => parts.pop().ok_or(parts),
        _ => Err(parts),
    }
}

fn number(token: Token, column: usize) -> Read<Number> {
    let name = match token {
        Token::Number(number) => return Ok(Number::Literal(number)),
        Token::Name(name) if token_is_name(&name) => name,
        found => return Err(format!("column {column}: expected a number or a name, found {}", found.kind())),
    };
    match NAMED.iter().find(|named| named.name == name) {
        Some(named) => Ok(Number::Statistic(named)),
        None => {
            let known: Vec<&str> = NAMED.iter().map(|named| named.name).chain(["function"]).collect();
            Err(format!("column {column}: there is no statistic of this name{}", nearest(&name, &known)))
        }
    }
}

/// Not a word of the language.
fn token_is_name(name: &str) -> bool {
    !matches!(name, "and" | "or" | "not" | "function")
}
