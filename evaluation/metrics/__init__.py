"""The field's metrics, as the official evaluators compute them."""
