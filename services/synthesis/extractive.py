"""The built-in writer: it quotes and arranges the evidence and adds nothing."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from services.synthesis.language import fitting, lines, sentences, shortened, terms
from services.synthesis.model import Claim, Draft, Evidence, EvidenceKind, SectionKind, TicketText
from services.synthesis.resolution import read_resolution, tells_action

_TICKETS: Final = 3
_ARTICLES: Final = 2
_NETWORK: Final = 6
_CAUSES: Final = 3
_STEPS: Final = 5
# Share of the best score below which something of the same kind is more likely chance.
_BEST_SHARE: Final = 0.5
# Share of a claim's words in another one from which both say the same.
_SAME: Final = 0.8
_LONGEST_QUOTE: Final = 40
_SHORTEST_QUOTE: Final = 8
_QUOTES_IN_BRIEF: Final = 6
_CAUSE_HEADING: Final = re.compile(r"\b(?:cause|reason|why)", re.IGNORECASE)
_SYMPTOM_HEADING: Final = re.compile(r"\b(?:symptom|background|overview)", re.IGNORECASE)
_CAUTION_HEADING: Final = re.compile(r"\b(?:rule|never|warning|caution|important|careful)", re.IGNORECASE)
# What is under such a heading says how things have to be, without a verb.
_STATE_HEADING: Final = re.compile(r"\b(?:settings?|must)\b", re.IGNORECASE)
_FEWEST_WORDS: Final = 3
_STEP: Final = re.compile(r"^[ \t]*\d{1,2}[.)]\s", re.MULTILINE)
_HEADING: Final = " \u203a "


@dataclass(frozen=True, slots=True)
class _Article:
    """The passages of one article that were found, the best first."""

    passages: tuple[Evidence, ...]

    @property
    def label(self) -> str:
        return _named(self.passages[0].title.partition(_HEADING)[0], self.passages[0])


def draft(ticket: TicketText, evidence: Sequence[Evidence], *, max_words: int) -> Draft:
    """Quote what bears on the ticket, best evidence first."""
    quote = max(_SHORTEST_QUOTE, min(_LONGEST_QUOTE, max_words // _QUOTES_IN_BRIEF))
    tickets = _nearest(evidence, EvidenceKind.PAST_TICKET)[:_TICKETS]
    articles = _articles(_nearest(evidence, EvidenceKind.ARTICLE))[:_ARTICLES]
    causes = _unrepeated(_causes(tickets, articles, quote), _CAUSES)
    steps = _unrepeated(_steps(tickets, articles, quote), _STEPS)
    asked = terms(f"{ticket.subject}\n{ticket.description}")
    said = [terms(claim.text) for claim in (*causes, *steps)]
    return Draft(
        {
            SectionKind.SIMILAR_TICKETS: [_past_ticket(each, quote) for each in tickets],
            SectionKind.KNOWLEDGE: [_knowledge(each, asked, said, quote) for each in articles],
            SectionKind.NETWORK: list(islice(_network(evidence, quote), _NETWORK)),
            SectionKind.PROBABLE_CAUSES: causes,
            SectionKind.FIRST_STEPS: steps,
        }
    )


def _nearest(evidence: Iterable[Evidence], kind: EvidenceKind) -> list[Evidence]:
    ranked = sorted((e for e in evidence if e.kind is kind), key=lambda each: each.score, reverse=True)
    return [each for each in ranked if each.score >= _BEST_SHARE * ranked[0].score]


def _articles(passages: Sequence[Evidence]) -> list[_Article]:
    names = dict.fromkeys((each.source, each.name) for each in passages)
    return [_Article(tuple(p for p in passages if (p.source, p.name) == name)) for name in names]


def _past_ticket(evidence: Evidence, quote: int) -> Claim:
    resolution = read_resolution(evidence.resolution)
    label = _sentence(_named(evidence.title, evidence))
    if resolution.fix:
        return Claim(f"{label} Solved: {fitting(resolution.fix, quote)}", (evidence.id,))
    reported = fitting(sentences(evidence.text), quote)
    return Claim(f"{label} Without a recorded solution. {reported}".strip(), (evidence.id,))


def _knowledge(article: _Article, asked: frozenset[str], said: Sequence[frozenset[str]], quote: int) -> Claim:
    """What the article has in common with the ticket, and what follows it; not what is said elsewhere."""
    quotes = [(passage, list(_quotable(passage))) for passage in article.passages]
    fresh = [
        (passage, n)
        for passage, found in quotes
        for n, sentence in enumerate(found)
        if not any(_says_the_same(terms(sentence), other) for other in said)
    ]
    if not fresh:
        passage = article.passages[0]
        return Claim(f"{_sentence(article.label)} {fitting(_quotable(passage), quote)}", (passage.id,))
    by_passage = {passage.id: found for passage, found in quotes}
    # The passages come best first, and of equals the first is taken.
    passage, start = max(fresh, key=lambda place: len(terms(by_passage[place[0].id][place[1]]) & asked))
    return Claim(
        f"{_sentence(article.label)} {fitting(by_passage[passage.id][start:], quote)}", (passage.id,)
    )


def _network(evidence: Sequence[Evidence], quote: int) -> Iterator[Claim]:
    for each in evidence:
        if each.kind in {EvidenceKind.ASSET, EvidenceKind.PREFIX}:
            yield Claim(shortened(each.text or each.title, quote), (each.id,))
    for each in evidence:
        if each.kind is EvidenceKind.OBSERVATION:
            yield Claim(f"{_sentence(each.title)} {fitting(sentences(each.text), quote)}".strip(), (each.id,))


def _causes(tickets: Iterable[Evidence], articles: Iterable[_Article], quote: int) -> Iterator[Claim]:
    for ticket in tickets:
        cause = read_resolution(ticket.resolution).cause
        if cause:
            yield Claim(f"In {_reference(ticket)}: {fitting(cause, quote)}", (ticket.id,))
    for article in articles:
        for passage in article.passages:
            if _CAUSE_HEADING.search(_heading(passage)):
                said = [sentence for sentence in _quotable(passage) if not tells_action(sentence)]
                if said:
                    yield Claim(f"{_reference(passage)}: {fitting(said, quote)}", (passage.id,))


def _steps(tickets: Sequence[Evidence], articles: Sequence[_Article], quote: int) -> Iterator[Claim]:
    """What the nearest article tells to do; where it tells nothing, what solved the nearest tickets."""
    told = [claim for article in articles[:1] for claim in _instructions(article, quote)]
    yield from told
    if not told:
        for ticket in tickets:
            fix = read_resolution(ticket.resolution).fix
            if fix:
                yield Claim(f"As in {_reference(ticket)}: {shortened(fix[0], quote)}", (ticket.id,))


def _instructions(article: _Article, quote: int) -> Iterator[Claim]:
    """What to beware of, then the numbered steps, then what else is to be done."""
    cautions = [passage for passage in article.passages if _CAUTION_HEADING.search(_heading(passage))]
    for passage in cautions:
        yield from islice(_actions(passage, quote), 1)
    listed = [passage for passage in article.passages if _STEP.search(passage.text)]
    for passage in listed:
        # A numbered step is one thing to do, however many sentences it has.
        numbered = "\n".join(line for line in passage.text.splitlines() if _STEP.match(line))
        for line in lines(numbered):
            step = [sentence for sentence in sentences(line) if not sentence.endswith(":")]
            if step:
                yield Claim(fitting(step, quote), (passage.id,))
    causes = [passage for passage in article.passages if _CAUSE_HEADING.search(_heading(passage))]
    for passage in article.passages:
        # What to do about the second cause misleads where it is the first.
        if passage in (*listed, *cautions, *causes[1:]) or _SYMPTOM_HEADING.search(_heading(passage)):
            continue
        if _STATE_HEADING.search(_heading(passage)):
            yield Claim(f"{_heading(passage)}: {fitting(_quotable(passage), quote)}", (passage.id,))
        else:
            yield from _actions(passage, quote)


def _actions(passage: Evidence, quote: int) -> Iterator[Claim]:
    for sentence in _quotable(passage):
        if tells_action(sentence) and len(sentence.split()) >= _FEWEST_WORDS:
            yield Claim(shortened(sentence, quote), (passage.id,))


def _heading(passage: Evidence) -> str:
    return passage.title.partition(_HEADING)[2]


def _quotable(evidence: Evidence) -> Iterator[str]:
    """Without what only introduces a table or a block of code that is not quoted."""
    return (sentence for sentence in sentences(evidence.text) if not sentence.endswith(":"))


def _named(title: str, evidence: Evidence) -> str:
    """The title with the identifier people know the thing by, which not every source puts there."""
    known = evidence.name.lower() in title.lower()
    return title if known else f"{_reference(evidence)} {title}".strip()


def _reference(evidence: Evidence) -> str:
    return f"#{evidence.name}" if evidence.name.isdigit() else evidence.name


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _says_the_same(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= _SAME * len(one)


def _unrepeated(claims: Iterable[Claim], limit: int) -> list[Claim]:
    """The first `limit` claims that say different things."""
    kept: list[Claim] = []
    for claim in claims:
        said = terms(claim.text)
        if said and not any(_says_the_same(said, terms(each.text)) for each in kept):
            kept.append(claim)
        if len(kept) == limit:
            break
    return kept
