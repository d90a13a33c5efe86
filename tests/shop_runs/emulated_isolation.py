import isoclient

isoclient.TestClient.__init__.__kwdefaults__["isolated"] = True  # type: ignore[index]
