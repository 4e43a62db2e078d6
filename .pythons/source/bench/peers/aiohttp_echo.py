"""aiohttp on uvloop, json and base64."""

import asyncio
import os

import uvloop
from aiohttp import WSMsgType, web
from work import Call


async def media(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    call = Call()
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            reply = call.reply(message.data)
            if reply is not None:
                await socket.send_str(reply)
    return socket


async def main():
    app = web.Application()
    app.router.add_get("/media", media)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"])).start()
    await asyncio.Future()


uvloop.run(main())
