"""A headless Chromium driven over its DevTools pipe: no driver, no port, no package."""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]


class Browser:
    """One page; `requests` and `complaints` are what it asked for and what its console showed."""

    def __init__(self, width=1400, height=1000):
        assert CHROMIUM is not None
        self.requests, self.complaints, self.number, self.loaded = [], [], 0, False
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, self.write = os.pipe()
        read, answers = os.pipe()
        # Chromium takes commands from descriptor 3 and answers on 4; numbers far from these cannot be in their way.
        far = [fcntl.fcntl(each, fcntl.F_DUPFD, 100) for each in (commands, answers)]
        flags = [*FLAGS, f"--window-size={width},{height}", f"--user-data-dir={self.profile.name}", "about:blank"]
        command = ["bash", "-c", f'exec "$0" "$@" 3<&{far[0]} 4>&{far[1]}', CHROMIUM, *flags]
        self.process = subprocess.Popen(command, pass_fds=far, stderr=subprocess.DEVNULL)
        for each in (commands, answers, *far):
            os.close(each)
        self.answers, self.session = os.fdopen(read, "rb"), None
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.write)
        self.answers.close()
        self.profile.cleanup()

    def call(self, method, **params):
        """Sends a command and returns its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self):
        text = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            text += byte
        message = json.loads(text)
        kind, params = message.get("method"), message.get("params")
        self.loaded |= kind == "Page.loadEventFired"
        if kind == "Network.requestWillBeSent" and not params["request"]["url"].startswith("data:"):
            self.requests.append(params["request"]["url"])
        if kind in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(params)
        return message

    def open(self, path):
        self.loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.loaded:
            self._next()

    def run(self, script):
        """Evaluates JavaScript in the page and returns its value."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def type(self, selector, text):
        """Types into a field as a user does, in place of what it holds."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus(); document.activeElement.select()")
        self.call("Input.insertText", text=text)

    def click(self, selector):
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def choose(self, selector, value):
        chosen = f"document.querySelector({json.dumps(selector)})"
        event = 'new Event("input", { bubbles: true })'
        self.run(f"{chosen}.value = {json.dumps(value)}; {chosen}.dispatchEvent({event})")
