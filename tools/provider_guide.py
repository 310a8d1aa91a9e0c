"""The guide to adding a provider, around one that exists only in the tests and is tested there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent

_GUIDE: Final = """\
<!-- Made by `make generate` from tools/provider_guide.py and the tests' fifth provider. -->
# Adding a provider

A provider is one module (or package) in `exporter/providers/` that has a `PROVIDER`. It is found
by being there: no list names it. It is pure. It says what to ask for and reads what comes back;
the clock, the network, the ledger and the exposition are not its business, and it knows no other
provider. The shapes are in `exporter/model/`: `Provider`, `Feed`, `Request`, `Answer`.

1. Collect the facts: the vendor's documents, its examples, and where the two disagree.
2. Choose metrics from `exporter/model/measures.py`. A new one is written there, once.
3. Write the provider. A feed is a family of endpoints:
   - `requests` turns a question (spans of time, stream names) into requests, always the same ones;
   - `parse` reads one answer into usage, levels, events, and the requests that follow from it. Be
     strict where the vendor is clear, tolerant where it is not; raise `SchemaError` for the rest;
   - `refused` knows what to ask instead of a request that the vendor refuses, if anything;
   - `resolutions` say in which steps there are buckets and for how long, finest first;
   - `settling` says how long a closed bucket may still change.
4. Write an emulator of the vendor, a package in `exporter/emulators/` with an `EMULATOR`, from the
   vendor's documents and not from the provider, with a `truth` to hold the counters against. Its
   `example` says how an account of it is configured: the demo and `emulate` take it from there.
5. Write `docs/providers/NAME.md`: permissions, feeds and their cost, known limits. Name the vendor in
   `tools/metric_sources.py`, from which the tables of metrics and of requests are made.
6. Run `make generate` and `make test ARGS="-k contract"`: `tests/providers/test_contract.py` takes
   every provider through one list of behaviours.

What the rest of the program does for every provider: sign in, retry, obey `Retry-After`, bound
sizes and pages, share equal requests, record exactly, catch up after outages, show.

Here is a whole one. Harbour does not exist, but is tested as if it did.

`tests/fifth/providers/harbour.py`:

```python
{provider}```

Its emulator:

`tests/fifth/emulator.py`:

```python
{emulator}```
"""


def documentation() -> str:
    """docs/adding-a-provider.md."""
    return _GUIDE.format(
        provider=(ROOT / "tests/fifth/providers/harbour.py").read_text(encoding="utf-8"),
        emulator=(ROOT / "tests/fifth/emulator.py").read_text(encoding="utf-8"),
    )
