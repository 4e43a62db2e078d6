"""FastAPI on uvicorn[standard], json and base64: what most examples on the web do."""

import os

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from work import Call

app = FastAPI()


@app.websocket("/media")
async def media(socket: WebSocket) -> None:
    await socket.accept()
    call = Call()
    try:
        while True:
            reply = call.reply(await socket.receive_text())
            if reply is not None:
                await socket.send_text(reply)
    except WebSocketDisconnect:
        pass


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), loop="uvloop", log_level="warning", access_log=False)
