"""Schemas of what the API takes and gives;
what are options is generated from ``Settings`` and ``Request``."""

from typing import Any

from echomimic.studio.api import option_schema, ref
from echomimic.studio.takes import REQUEST, SETTINGS

Schema = dict[str, Any]
OBJECTS = {
    "Edit": "op:string track:string start:number stop:number amount:number seconds:number source:string "
    "offset:number eyes:string",
    "Asset": "id:string kind:string name:string type:string bytes:integer created:number info:object",
    "Order": "kind:string take:string portrait:string speech:string name:string model:string "
    "settings:Settings request:Request edits:Edit[]",
    "Still": "portrait:string speech:string take:string time:number quality:integer pose:Pose "
    "settings:Settings request:Request edits:Edit[]",
    "Pose": "mouth:number width:number pitch:number yaw:number roll:number brow:number blink:number "
    "gaze_x:number gaze_y:number",
    "Text": "text:string voice:string speed:number",
    "Clean": "days:number keep_starred:boolean dry_run:boolean",
    "Job": "id:string kind:string state:string position:integer lane:string model:string take:string "
    "title:string stage:string done:integer total:integer note:string fraction:number left:number "
    "preview:integer error:string notes:string[] created:number started:number ended:number attempts:integer",
    "Take": "id:string name:string created:number portrait:string speech:string model:string seed:integer "
    "star:boolean settings:Settings request:Request edits:Edit[] revision:integer from:string frames:integer "
    "fps:number seconds:number width:integer height:integer bytes:integer ready:boolean job:string "
    "state:string editable:boolean differs:object[] notes:string[] evaluation:object",
}
"""Name and type of every value, in the order in which the API gives them; ``[]`` is a list."""
PLAIN = frozenset({"string", "number", "integer", "boolean", "object"})


def schemas() -> dict[str, Schema]:
    """By name."""
    made = {
        name: _object({o: option_schema(option) for o, option in known.items()})
        for name, known in _FORMS.items()
    }
    for name, text in OBJECTS.items():
        made[name] = _object({key: _type(kind) for key, kind in (pair.split(":") for pair in text.split())})
    return made


_FORMS = {"Settings": SETTINGS, "Request": REQUEST}


def _object(properties: dict[str, Any]) -> Schema:
    return {"type": "object", "properties": properties}


def _type(kind: str) -> Schema:
    if kind.endswith("[]"):
        return {"type": "array", "items": _type(kind[:-2])}
    return {"type": kind} if kind in PLAIN else dict(ref(kind))
