"""Writes an event file with TensorBoard's own writer, for packages/iqvae/test/run/tensorboard.

    python3 -m pip install tensorboard
    python3 tools/goldens_tensorboard.py
"""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

OUT = Path(__file__).parent.parent / "packages/iqvae/test/goldens/events.tfevents"

scalars = Summary(
    value=[Summary.Value(tag="stage1/loss", simple_value=0.1), Summary.Value(tag="stage1/größe", simple_value=-3e38)]
)
image = Summary.Image(height=2, width=300, colorspace=3, encoded_image_string=bytes(range(256)))
events = [
    Event(wall_time=1.5e9, step=0, file_version="brain.Event:2"),
    Event(wall_time=1.5e9 + 0.25, step=7, session_log=SessionLog(status=SessionLog.START)),
    Event(wall_time=1.5e9 + 1, step=7, summary=scalars),
    Event(wall_time=1.5e9 + 2, step=2**40 + 1, summary=Summary(value=[Summary.Value(tag="stage2/samples", image=image)])),
]

with OUT.open("wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    writer.flush()
