"""What is looked at on the page. Each look yields what is wrong, in sentences."""

from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from scene import FATES, HOSTILE

DESK = {"width": 1100, "height": 900}
PHONE = {"width": 360, "height": 740}

expect.set_options(timeout=15_000)  # the page asks again every five seconds


class Look:
    """A browser, and the waxseal that it looks at."""

    def __init__(self, browser, scene, screens):
        self._browser, self._scene, self._screens = browser, scene, screens

    def all(self):
        return (
            self.loads_without_a_complaint, self.shows_what_left_and_what_did_not, self.tells_the_story_of_a_delivery,
            self.shows_a_delivery_that_comes_while_it_is_open, self.finds_deliveries, self.checks_a_domain,
            self.shows_rules_policies_and_health, self.takes_text_for_text, self.only_reads_without_the_token,
            self.acts_with_the_token, self.asks_for_the_token_where_reading_takes_it, self.is_used_without_a_mouse, self.fits_a_phone, self.is_light_or_dark,
            self.is_for_everybody,
        )

    @contextmanager
    def _page(self, size=DESK, **options):
        """A page that has loaded, in a browser that knows nothing. Whatever the console says is kept in `said`."""
        context = self._browser.new_context(viewport=size, reduced_motion="reduce", **options)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.said.append(f"error: {error}"))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(self._scene.url)
        expect(page.locator("#state")).to_have_text("ready")
        expect(page.locator("#policies")).not_to_be_empty()
        yield page
        context.close()

    def _picture(self, page, name):
        page.screenshot(path=self._screens / f"{name}.png", full_page=True)

    @staticmethod
    def _row(page, domain):
        return page.locator("#deliveries details", has=page.get_by_text(domain, exact=True)).first

    def loads_without_a_complaint(self):
        with self._page() as page:
            page.wait_for_timeout(6000)  # two rounds of questions
            self._picture(page, "light")
            yield from page.said
            yield from (f"asks {url}" for url in page.asked if not url.startswith(self._scene.url + "/"))
            headers = page.request.get(self._scene.url).headers
            if "default-src 'none'" not in headers.get("content-security-policy", ""):
                yield f"headers: {headers}"

    def shows_what_left_and_what_did_not(self):
        with self._page() as page:
            fates = list(FATES.values())
            for word in ("sealed", "open", "blocked"):
                shown = int(page.locator(f"#hour-{word}").inner_text())
                if shown != fates.count(word):
                    yield f"{word}: {shown}, not {fates.count(word)}"
                if not page.locator(f"#chart rect.{word}").evaluate_all("bars => bars.some((bar) => bar.height.baseVal.value > 2)"):
                    yield f"no bar for {word}"
            for recipient, word in FATES.items():
                shown = self._row(page, recipient.partition("@")[2]).locator(".word").inner_text()
                if shown != word:
                    yield f"{recipient}: {shown}, not {word}"
            for recipient in FATES:
                if recipient in page.content():
                    yield f"{recipient} is named"

    def tells_the_story_of_a_delivery(self):
        words = {
            "many4.example": ("Facts", "Verdict", "Evidence", "Reply", "secure", "3 1 1 ", "matches", "TLSv1.3", "250 2."),
            "many5.example": ("MTA-STS", "enforce", "pkix"),
            "plain-but-must.example": ("the lab demands it", "encrypt", "451 4.7.4", "STARTTLS is not offered"),
            "careful.example": ("observe", "Would have been blocked"),
            "dead.example": ("mx-dead1.example", "451 4.4.1"),
        }
        with self._page() as page:
            for domain, expected in words.items():
                row = self._row(page, domain)
                row.locator("summary").click()
                told = row.locator(".story").inner_text()
                yield from (f"{domain}: nothing of `{word}` in {told}" for word in expected if word not in told)
            self._picture(page, "stories")
            yield from page.said

    def shows_a_delivery_that_comes_while_it_is_open(self):
        with self._page() as page:
            row = self._row(page, "plain.example")
            row.locator("summary").click()
            self._scene.send("bartholomew@encrypt.example")
            expect(self._row(page, "encrypt.example").locator(".word")).to_have_text("sealed")
            if row.get_attribute("open") is None:
                yield "what was open has been closed"
            yield from page.said

    def finds_deliveries(self):
        with self._page() as page:
            page.get_by_label("Show", exact=True).select_option("blocked")
            rows = page.locator("#deliveries details .word")
            expect(rows).to_have_text(["blocked"] * 2)
            page.get_by_label("to", exact=True).fill("mismatch.example")
            page.keyboard.press("Tab")
            expect(rows).to_have_text(["blocked"])
            page.get_by_label("to", exact=True).fill("nowhere.example")
            page.keyboard.press("Tab")
            expect(page.locator("#deliveries-none")).to_be_visible()
            yield from page.said

    def checks_a_domain(self):
        with self._page() as page:
            result = page.locator("#check-result")
            for domain, word, told in (
                ("many4.example", "authenticated", "TLSA"),
                ("plain.example", "unauthenticated", "TLS if offered, else plaintext"),
                ("nullmx.example", "blocked", "does not accept mail"),
            ):
                page.get_by_label("Domain", exact=True).fill(domain)
                page.get_by_role("button", name="Check").click()
                expect(result.get_by_role("heading", name=domain, exact=True)).to_be_visible()
                expect(result.locator(".word")).to_have_text(word)
                expect(result).to_contain_text(told)
            self._picture(page, "check")
            yield from page.said
            page.get_by_label("Domain", exact=True).fill("a..b")
            page.keyboard.press("Enter")
            expect(result).to_contain_text("`a..b` is not a domain")

    def shows_rules_policies_and_health(self):
        with self._page() as page:
            rules = page.locator("#rules tbody tr")
            hits = rules.filter(has_text="plain-but-must.example").locator("td.number").inner_text()
            if hits != "1":
                yield f"hits: {hits}"
            if "expired" not in rules.filter(has_text="old.example").inner_text():
                yield "a rule that has expired is not told apart"
            policy = page.locator("#policies tbody tr").filter(has_text="many5.example").inner_text()
            yield from (f"no {word} in {policy}" for word in ("enforce", "mx-secure.example", "in ") if word not in policy)
            health = page.locator("#health").inner_text()
            yield from (f"no {word} in {health}" for word in ("trust-ad", "passed", "waxseal.db") if word not in health)

    def takes_text_for_text(self):
        with self._page() as page:
            shown = page.locator("#rules").inner_text()
            if HOSTILE not in shown:
                yield f"not in {shown}"
            if page.locator("main img").count():
                yield "a text has become an image"

    def only_reads_without_the_token(self):
        with self._page() as page:
            if page.locator(".acts:visible").count():
                yield "there is something to do without a token"
            page.route("**/api/v1/token", lambda route: route.fulfill(json={"set_up": False, "shown": False}))
            page.reload()
            expect(page.locator("#read-only")).to_be_visible()
            if page.locator("#token-button").is_visible():
                yield "a token may be entered where there is none"
        for path in ("/api/v1/reload", "/reload", "/api/v1/policies/many5.example/refresh"):
            status, _ = self._scene.ask(path, "POST")
            if status != 401:
                yield f"POST {path}: {status}"

    def acts_with_the_token(self):
        with self._page() as page:
            page.get_by_role("button", name="Enter token").click()
            page.get_by_label("Token of the admin endpoint").fill("0123456789abcdef")
            page.get_by_role("button", name="Use it").click()
            expect(page.locator("#token-error")).to_have_text("this is not the token")
            page.get_by_label("Token of the admin endpoint").fill(self._scene.token)
            page.keyboard.press("Enter")
            expect(page.get_by_role("button", name="Token entered")).to_be_visible()
            self._picture(page, "armed")
            page.get_by_role("button", name="Reload configuration").click()
            expect(page.locator("#notice")).to_contain_text("reloaded: ")
            page.get_by_role("button", name="Refresh many5.example").click()
            expect(page.locator("#notice")).to_contain_text("Refresh: many5.example: done")
            page.get_by_role("button", name="Forget many3.example").click()
            expect(page.locator("#policies")).not_to_contain_text("many3.example")
            page.get_by_label("Mail to").fill("plain.example")
            page.get_by_label("Reason").fill(HOSTILE)
            page.get_by_role("button", name="Add", exact=True).click()
            expect(page.locator("#notice")).to_contain_text("Added: 80-by-hand.toml:")
            self._scene.send("cunegonde@plain.example")
            expect(self._row(page, "plain.example").locator(".word")).to_have_text("blocked")
            page.get_by_role("button", name="Let the rule for plain.example expire now").click()
            made = page.locator("#rules tbody tr").filter(has_text="80-by-hand.toml")
            expect(made).to_contain_text("expired")
            self._scene.send("cunegonde@plain.example")
            expect(self._row(page, "plain.example").locator(".word")).to_have_text("open")
            page.reload()
            expect(page.get_by_role("button", name="Token entered")).to_be_visible()
            kept = page.evaluate("JSON.stringify(localStorage) + document.cookie")
            if kept != "{}":
                yield f"kept for longer than the tab lives: {kept}"
            page.get_by_role("button", name="Token entered").click()
            page.get_by_role("button", name="Forget it").click()
            expect(page.locator("#reload")).to_be_hidden()

    def asks_for_the_token_where_reading_takes_it(self):
        """As an endpoint elsewhere than on loopback would: the lab has none."""

        def guard(route):
            if route.request.headers.get("authorization") == f"Bearer {self._scene.token}":
                route.continue_()
            else:
                route.fulfill(status=401, content_type="application/problem+json", body='{"detail": "this takes the token"}')

        context = self._browser.new_context()
        page = context.new_page()
        page.route("**/api/**", guard)
        page.goto(self._scene.url)
        expect(page.get_by_role("dialog")).to_be_visible()
        page.get_by_label("Token of the admin endpoint").fill(self._scene.token)
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_have_text("ready")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.locator("#notice")).to_be_hidden()
        yield from ()
        context.close()

    def is_used_without_a_mouse(self):
        with self._page() as page:
            names = []
            for _ in range(40):
                page.keyboard.press("Tab")
                names.append(page.evaluate("(document.activeElement.id || document.activeElement.innerText).split('\\n')[0]"))
                if page.evaluate("document.activeElement.tagName") == "SUMMARY":
                    break
            yield from (f"Tab does not lead to {name}: {names}" for name in
                        ("Skip to the contents", "token-button", "check-domain", "Check", "deliveries-result") if name not in names)
            seen = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            if seen == "none":
                yield "the focus cannot be seen"
            page.keyboard.press("Enter")
            expect(page.locator("#deliveries details[open] .story")).to_be_visible()
            page.get_by_role("button", name="Enter token").focus()
            page.keyboard.press("Enter")
            expect(page.get_by_role("dialog")).to_be_visible()
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_be_hidden()

    def fits_a_phone(self):
        with self._page(PHONE, color_scheme="light", has_touch=True, is_mobile=True) as page:
            for domain in ("many4.example", "dead.example"):
                self._row(page, domain).locator("summary").tap()
            page.get_by_label("Domain", exact=True).fill("many4.example")
            page.get_by_role("button", name="Check").tap()
            expect(page.locator("#check-result h3")).to_be_visible()
            width = page.evaluate("document.scrollingElement.scrollWidth")
            if width > PHONE["width"]:
                yield f"{width} pixels wide"
            self._picture(page, "phone")

    def is_light_or_dark(self):
        shades = []
        for scheme in ("light", "dark"):
            with self._page(color_scheme=scheme) as page:
                shades.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
                self._picture(page, scheme)
        if shades[0] == shades[1]:
            yield f"the paper is {shades}"

    def is_for_everybody(self):
        for scheme, size in (("light", DESK), ("dark", DESK), ("light", PHONE)):
            with self._page(size, color_scheme=scheme) as page:
                self._row(page, "many4.example").locator("summary").click()
                page.get_by_label("Domain", exact=True).fill("many4.example")
                page.get_by_role("button", name="Check").click()
                expect(page.locator("#check-result h3")).to_be_visible()
                yield from _faults(page, f"{scheme}, {size['width']}")
                page.get_by_role("button", name="Enter token").click()
                page.get_by_label("Token of the admin endpoint").fill(self._scene.token)
                yield from _faults(page, f"{scheme}, {size['width']}, the dialog")
                page.keyboard.press("Enter")
                expect(page.locator("#reload")).to_be_visible()
                yield from _faults(page, f"{scheme}, {size['width']}, with the token")


def _faults(page, where):
    for fault in Axe().run(page).response["violations"]:
        if fault["impact"] in ("serious", "critical"):
            nodes = ", ".join(node["html"][:120] for node in fault["nodes"][:3])
            yield f"{where}: {fault['impact']}: {fault['help']}: {nodes}"
