"""`ptmoe serve` gives the answers of `ptmoe predict`, refuses what it cannot answer, and forgets who left."""

import asyncio
import json
import re
import shutil
import signal
import threading
import time

import httpx2 as httpx
import openai
import pytest

from ptmoe.cli import main
from ptmoe.generation.decode import Decoder
from ptmoe.serving.asked import AskedText, RefusedError, parsed
from tests.serving.running import METHODS, NEW_TOKENS, TEMPLATE, in_process, in_thread, service_of

QUESTIONS = [{"question": f"w{n} w{n + 1}", "context": "w20 " * (n % 5)} for n in range(5, 25)]


@pytest.fixture(scope="module")
def url(adapters):
    with in_thread(service_of(adapters)) as (address, _):
        yield address


@pytest.fixture(scope="module")
def predicted(adapters, tmp_path_factory):
    """Answers of `ptmoe predict`: method -> one of each question."""
    folder = tmp_path_factory.mktemp("predicted")
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    source.write_text("".join(f"{json.dumps(line)}\n" for line in QUESTIONS))
    named = [text for name, path in adapters.items() for text in ("--adapter", f"{name}={path}")]
    main(["predict", *named, "--input", str(source), "--output", str(out), "--max-new-tokens", str(NEW_TOKENS)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return {method: [row for row in rows if row["adapter"] == method] for method in METHODS}


async def text_of(client, method, line, streams):
    """An answer, its expert and the reason of its end, by the real client, as completion or as chat."""
    extra = {"context": line["context"]}
    if len(line["context"]) % 2:
        asked = {"prompt": line["question"]}
        create = client.completions.create
    else:
        asked = {"messages": [{"role": "user", "content": line["question"]}]}
        create = client.chat.completions.create
    reply = await create(model=method, extra_body=extra, stream=streams, temperature=0, **asked)
    if not streams:
        choice = reply.choices[0]
        text = choice.text if "prompt" in asked else choice.message.content
        return text, choice.expert, choice.finish_reason, reply.usage.completion_tokens
    text, last = "", None
    async for piece in reply:
        last = piece.choices[0]
        text += last.text if "prompt" in asked else last.delta.content
    return text, last.expert, last.finish_reason, None


def test_many_at_once_get_what_predict_gives(url, predicted):
    async def ask_all():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            asked = [(method, n, streams) for n in range(len(QUESTIONS)) for method in METHODS for streams in (0, 1)]
            answers = await asyncio.gather(*(text_of(client, m, QUESTIONS[n], bool(s)) for m, n, s in asked))
        return zip(asked, answers, strict=True)

    for (method, number, streams), (text, expert, reason, tokens) in asyncio.run(ask_all()):
        row = predicted[method][number]
        assert (text, expert) == (row["prediction"], row["expert"])
        assert reason == ("stop" if row["finished"] else "length")
        assert streams or tokens == row["new_tokens"]


def test_a_shorter_answer_is_the_start_of_the_longer_one(url, predicted):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    reply = client.completions.create(model="pt", prompt="w5 w6", max_tokens=3)
    assert reply.choices[0].finish_reason == "length" and reply.usage.completion_tokens == 3
    assert predicted["pt"][0]["prediction"].startswith(reply.choices[0].text)


def test_the_stream_tells_the_usage_where_asked(url):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    pieces = list(
        client.completions.create(model="pt", prompt="w5", stream=True, stream_options={"include_usage": True})
    )
    assert pieces[-1].choices == [] and pieces[-1].usage.prompt_tokens > 0


def test_models_health_and_measures(url):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    assert [model.id for model in client.models.list()] == list(METHODS)
    assert client.models.retrieve("lora").method == "lora"
    assert httpx.get(f"{url}/health").json() == {"status": "ok"}
    client.completions.create(model="ptmoe", prompt="w5")
    text = httpx.get(f"{url}/metrics").text
    assert 'ptmoe_expert_chosen_total{expert="' in text and "ptmoe_rows_answering 0.0" in text


PROMPT = {"model": "pt", "prompt": "w5"}
TALK = [{"role": "system", "content": "w5"}, {"role": "user", "content": "w5"}]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("completions", b"", 400, "invalid JSON"),
        ("completions", b"\xff\xfe{}", 400, "invalid UTF-8 at byte 0"),
        ("completions", b'{"model": "pt", "prompt": "\\ud800"}', 400, "half a character"),
        ("completions", b"[]", 400, "must be a JSON object"),
        ("completions", {"model": "pt"}, 400, "prompt: Field required"),
        ("completions", PROMPT | {"prompt": 5}, 400, "prompt: Input should be a valid string, got 5"),
        ("completions", PROMPT | {"prompt": " "}, 400, "the question is empty"),
        ("completions", PROMPT | {"prompt": "w5 " * 200}, 400, "exceed the .* tokens that pt reads"),
        ("completions", PROMPT | {"context": "w5 " * 200}, 400, "exceed the .* tokens that pt reads"),
        ("completions", PROMPT | {"prompt": "w5 " * 2000}, 413, "larger than 2000 bytes"),
        ("completions", PROMPT | {"model": "gpt"}, 404, "got 'gpt'; allowed: pt, ptmoe, lora"),
        ("completions", PROMPT | {"temperature": 0.7}, 400, "temperature: got 0.7; answers are greedy"),
        ("completions", PROMPT | {"n": 2}, 400, "n: got 2"),
        ("completions", PROMPT | {"stop": ["x"]}, 400, "stop: got"),
        ("completions", PROMPT | {"max_tokens": 1000}, 400, "max_tokens: got 1000; allowed: 1 to 24"),
        ("completions", PROMPT | {"max_tokens": 0}, 400, "max_tokens: .* greater than or equal to 1"),
        ("completions", PROMPT | {"suffix": "w5"}, 400, "suffix: this server has no such key"),
        ("chat/completions", {"model": "pt", "messages": []}, 400, "messages"),
        ("chat/completions", {"model": "pt", "messages": TALK}, 400, "messages"),
        ("chat/completions", {"model": "pt", "messages": TALK[:1]}, 400, "messages.0.role: .* 'user'"),
        ("embeddings", PROMPT, 404, "POST /v1/embeddings: Not Found"),
    ],
)
def test_a_refusal_has_a_status_and_a_reason(url, path, body, status, words):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = httpx.post(f"{url}/v1/{path}", content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code == status
    assert re.search(words, reply.json()["error"]["message"])


def test_only_json_and_only_known_ways(url):
    assert httpx.post(f"{url}/v1/completions", content=json.dumps(PROMPT)).status_code == 415
    assert httpx.get(f"{url}/v1/completions").status_code == 405


def test_a_template_without_a_place_for_a_context(adapters, tmp_path):
    shutil.copytree(adapters["pt"], tmp_path / "pt")
    path = tmp_path / "pt" / "adapter_config.json"
    path.write_text(path.read_text().replace(json.dumps(TEMPLATE["input"]), '"{question}"'))
    service = service_of({"pt": tmp_path / "pt"})
    with pytest.raises(RefusedError, match="no place for one"):
        service.answering(parsed(AskedText, PROMPT | {"context": "w5"}), False)


def test_the_key(adapters):
    with in_thread(service_of({"pt": adapters["pt"]}), key="s\u00e9cret") as (address, _):
        for path in ("v1/models", "metrics"):
            assert httpx.get(f"{address}/{path}").status_code == 401
            wrong = {"Authorization": "Bearer secret"}
            assert httpx.get(f"{address}/{path}", headers=wrong).status_code == 401
            right = {"Authorization": "Bearer s\u00e9cret".encode()}
            assert httpx.get(f"{address}/{path}", headers=right).status_code == 200
        assert httpx.get(f"{address}/health").status_code == 200


def test_a_full_queue_is_429(adapters):
    service = service_of({"pt": adapters["pt"]}, max_requests=2)
    for _ in range(2):
        service.answering(parsed(AskedText, PROMPT), False)
    with pytest.raises(RefusedError, match="try again later") as refused:
        service.answering(parsed(AskedText, PROMPT), False)
    assert refused.value.status == 429


@pytest.fixture
def slow(monkeypatch):
    """Every token takes a while, so that a test can act between two."""
    step = Decoder._step

    def slowly(self, flight):
        time.sleep(0.05)
        return step(self, flight)

    monkeypatch.setattr(Decoder, "_step", slowly)


def test_who_leaves_frees_the_slot(adapters, predicted, slow):
    service = service_of({"pt": adapters["pt"]}, budget=1)  # one row at a time
    with in_thread(service) as (address, _):
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none")
        stream = client.completions.create(model="pt", prompt="w5 w6", stream=True)
        next(iter(stream))
        stream.close()
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.2, max_retries=0).completions.create(model="pt", prompt="w5 w6")
        reply = client.completions.create(model="pt", prompt="w5 w6")  # waits for none of them
        assert reply.choices[0].text == predicted["pt"][0]["prediction"]
        assert service.scheduler.rows == (0, 0) and service.open == 0 and not service.scheduler._tickets
        assert "ptmoe_cancelled_total 2.0" in httpx.get(f"{address}/metrics").text


def test_stopping_answers_what_is_owed(adapters, slow):
    texts = []
    with in_thread(service_of({"pt": adapters["pt"]})) as (address, server):

        def ask():
            reply = httpx.post(f"{address}/v1/completions", json=PROMPT, timeout=60)
            texts.append((reply.status_code, reply.json()["choices"][0]["text"]))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        while '_prompt_tokens_total{model="pt"}' not in httpx.get(f"{address}/metrics").text:
            time.sleep(0.01)
        time.sleep(0.2)
        server.should_exit = True
        for thread in threads:
            thread.join()
    assert len(texts) == 4 and len(set(texts)) == 1 and texts[0][0] == 200


def test_a_batch_that_fails_is_a_500_and_the_server_goes_on(adapters, monkeypatch):
    with in_thread(service_of({"pt": adapters["pt"]})) as (address, _):
        with monkeypatch.context() as broken:
            broken.setattr(Decoder, "_step", lambda *_: (_ for _ in ()).throw(RuntimeError("shapes do not match")))
            reply = httpx.post(f"{address}/v1/completions", json=PROMPT)
            assert reply.status_code == 500 and "shapes do not match" in reply.json()["error"]["message"]
            stream = httpx.post(f"{address}/v1/completions", json=PROMPT | {"stream": True})
            assert "shapes do not match" in stream.text
        assert httpx.post(f"{address}/v1/completions", json=PROMPT).status_code == 200


def test_the_command_ends_well_on_sigterm(adapters):
    with in_process(adapters) as (address, process):
        reply = httpx.post(f"{address}/v1/completions", json=PROMPT, timeout=60)
        assert reply.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0 and "every answer was given" in process.stdout.read()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "set PTMOE_API_KEY"),
        (["--host", "192.0.2.1"], "set PTMOE_API_KEY"),
        (
            ["--host", "127.0.0.1", "--port", "1", "--adapter", "nowhere"],
            "adapter_config.json is missing|cannot be used",
        ),
        (["--port", "70000"], "0 .any free port. to 65535"),
        (["--max-new-tokens", "1000"], "exceed the 128 positions"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(adapters, monkeypatch, capsys, options, words):
    monkeypatch.delenv("PTMOE_API_KEY", raising=False)
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--adapter", str(adapters["pt"]), "--port", "0", *options])
    assert stop.value.code == 2 and re.search(words, capsys.readouterr().err)


def test_adapters_that_make_prompts_share_one_base(adapters):
    opened = service_of(adapters).house.adapters
    base = {name: opened[name].model.base for name in METHODS}
    assert base["pt"] is base["ptmoe"] is not base["lora"]


def test_two_adapters_of_one_name(adapters, capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--adapter", f"a={adapters['pt']}", "--adapter", f"a={adapters['lora']}"])
    assert "the name 'a' is taken" in capsys.readouterr().err
