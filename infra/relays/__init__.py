"""The edge of the search flow: from a decision to a signed bundle, a second judge's certificate, and the relays' answers.

Everything here that reaches outside is in `node`, `relay_client` and `bundle_sink`; `signing`, `bundle` and `answers` are pure.
A replay uses `null_sink` alone, which imports none of the three.
"""
