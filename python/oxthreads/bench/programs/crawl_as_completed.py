"""A crawl by as_completed: a pool fetches a level of pages, and the links on them are the next level."""

from __future__ import annotations

import concurrent.futures
import re

SIZE = 24_000
WORKERS = 8
LINK = re.compile(r'href="/(\d+)"')


def fetch(page: int, pages: int) -> str:
    """Return a page of a site that is in memory: it has links to ten others."""
    links = (page * 10 + number for number in range(1, 11))
    return "".join(f'<li><a href="/{link}">page {link}</a>' for link in links if link < pages)


def main(size: int) -> str:
    """Follow all links of a site with that many pages."""
    seen = {0}
    level = [0]
    levels = characters = 0
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        while level:
            levels += 1
            fetched = [pool.submit(fetch, page, size) for page in level]
            level = []
            for future in concurrent.futures.as_completed(fetched):
                text = future.result()
                characters += len(text)
                for link in map(int, LINK.findall(text)):
                    if link not in seen:
                        seen.add(link)
                        level.append(link)
    return f"{len(seen)} pages on {levels} levels, {characters} characters"


if __name__ == "__main__":
    print(main(SIZE))
