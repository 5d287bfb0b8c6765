"""postfix-mta-sts-resolver as it is, its cache filled beforehand: it finds policies only on port 443 of the internet."""

import json
import sys
import time

from postfix_mta_sts_resolver.base_cache import CacheEntry
from postfix_mta_sts_resolver.daemon import main
from postfix_mta_sts_resolver.internal_cache import InternalLRUCache


async def filled(cache):
    for domain in json.load(open("domains.json")):
        policy = {"version": "STSv1", "mode": "enforce", "mx": ["mx.sink.example"], "max_age": 604800}
        await cache.set(domain, CacheEntry(time.time(), "1", policy))


InternalLRUCache.setup = filled
sys.exit(main())
