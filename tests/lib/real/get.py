"""Prints what a URL answers, by the library named: get.py LIBRARY URL [MODEL FILE].

Of a language model, each token is written down in FILE when it has come.
"""

import sys
import time


def with_urllib(url):
    import urllib.request

    return urllib.request.urlopen(url, timeout=10).read().decode()


def with_requests(url):
    import requests

    return requests.get(url, timeout=10).text


def with_urllib3(url):
    import urllib3

    return urllib3.PoolManager(retries=False, timeout=10).request("GET", url).data.decode()


def with_httpx(url):
    import httpx

    return httpx.get(url, timeout=10).text


def with_aiohttp(url):
    import asyncio

    import aiohttp

    async def get():
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()

    return asyncio.run(get())


def with_httplib2(url):
    import httplib2

    return httplib2.Http(timeout=10).request(url)[1].decode()


def with_pycurl(url):
    import io

    import pycurl

    out, curl = io.BytesIO(), pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.WRITEDATA, out)
    curl.perform()
    return out.getvalue().decode()


def with_grpcio(url):
    import grpc

    channel = grpc.secure_channel(url.split("/")[2] + ":443", grpc.ssl_channel_credentials())
    say = channel.unary_stream("/egress.Demo/Say")
    return "".join(answer.decode() + "\n" for answer in say(b"demo", timeout=10))


def with_openai(url):
    import openai

    client = openai.OpenAI(base_url=url + "v1", api_key="none", max_retries=0, timeout=10)
    question = [{"role": "user", "content": "?"}]
    for piece in client.chat.completions.create(model=sys.argv[3], messages=question, stream=True):
        arrived(piece.choices[0].delta.content)
    return "\n"


def with_anthropic(url):
    import anthropic

    client = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, timeout=10)
    question = [{"role": "user", "content": "?"}]
    with client.messages.stream(model=sys.argv[3], max_tokens=9, messages=question) as stream:
        for text in stream.text_stream:
            arrived(text)
    return "\n"


def arrived(token):
    """Writes down in sys.argv[4] when it did, which the server waits for, and prints it."""
    sys.stdout.write(token)
    with open(sys.argv[4], "a", encoding="utf-8") as file:
        file.write(f"{time.time():.4f}\n")


sys.stdout.write(globals()["with_" + sys.argv[1]](sys.argv[2]))
