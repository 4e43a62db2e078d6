"""Pipecat: FastAPI WebSocket transport + TelnyxFrameSerializer, pipeline
input -> echo -> output, as its Telnyx examples build it.
PORT; RATE pipeline rate (8000: no resampling, what its telephony examples set);
CHUNKS audio_out_10ms_chunks (4 is Pipecat's default: replies of 40 ms)."""

import json
import os
import sys

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.telnyx import TelnyxFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport

try:
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker as Task
    from pipecat.workers.runner import WorkerRunner as Runner
except ImportError:
    from pipecat.pipeline.runner import PipelineRunner as Runner
    from pipecat.pipeline.task import PipelineParams, PipelineTask as Task

RATE = int(os.environ.get("RATE", "8000"))
CHUNKS = int(os.environ.get("CHUNKS", "4"))
logger.remove()
logger.add(sys.stderr, level="WARNING")
app = FastAPI()


class Echo(FrameProcessor):
    async def process_frame(self, frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            await self.push_frame(
                OutputAudioRawFrame(audio=frame.audio, sample_rate=frame.sample_rate, num_channels=frame.num_channels)
            )
        else:
            await self.push_frame(frame, direction)


@app.websocket("/media")
async def media(ws: WebSocket):
    await ws.accept()
    text = ws.iter_text()
    await text.__anext__()
    start = json.loads(await text.__anext__())
    ser = TelnyxFrameSerializer(
        stream_id=start["stream_id"],
        outbound_encoding=start["start"]["media_format"]["encoding"],
        inbound_encoding="PCMU",
        params=TelnyxFrameSerializer.InputParams(auto_hang_up=False),
    )
    tr = FastAPIWebsocketTransport(
        websocket=ws,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            add_wav_header=False,
            serializer=ser,
            audio_out_10ms_chunks=CHUNKS,
        ),
    )
    task = Task(
        Pipeline([tr.input(), Echo(), tr.output()]),
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
    )

    @tr.event_handler("on_client_disconnected")
    async def gone(transport, client):
        await task.cancel()

    runner = Runner(handle_sigint=False)
    if hasattr(runner, "add_workers"):
        await runner.add_workers(task)
        await runner.run()
    else:
        await runner.run(task)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop=os.environ.get("LOOP", "uvloop"),
        log_level="warning",
        access_log=False,
    )
