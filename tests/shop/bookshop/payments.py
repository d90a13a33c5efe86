"""The payment service. A real shop would call one; this one knows that card numbers which end in 0 have no money."""


class PaymentFailed(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(f"the payment failed: {reason}")
        self.reason = reason


def charge(card: str, cents: int) -> str:
    if card.endswith("0"):
        raise PaymentFailed("no money")
    return f"receipt-{card[-4:]}-{cents}"
