"""Every mask on the same text and the same record, without a session and without a policy."""

from guardai.model import MASKS
from guardai.text import mask, mask_payload

TEXT = "jane.doe@example.com pays with 4111 1111 1111 1111"
RECORD = {"order": 7, "customer": {"mail": "jane.doe@example.com", "phone": 4155552671}}

for style in MASKS:
    print(f"{style:8} {mask(TEXT, style=style)}")
    print(f"{'':8} {mask_payload(RECORD, style=style)}")
