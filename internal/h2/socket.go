package h2

import (
	"crypto/rand"
	"encoding/base64"

	"github.com/slipway-paas/slipway/internal/h1"
)

// socket makes the head of an extended CONNECT (RFC 8441) the one that asks
// for the same in HTTP/1.1: an upgrade, with the key that servers insist on.
// Whoever answers it need not check what they made of the key: it proves that
// a server of HTTP/1.1 knows WebSocket, and 101 does that already.
func (b *block) socket(r *h1.Request) error {
	if string(b.value(b.pseudo[pProtocol])) != string(websocket) {
		return &h1.Error{Status: 501, Clause: "RFC 9220, 3", Reason: "the protocol is not websocket"}
	}
	r.Upgrade = websocket
	if r.Get("sec-websocket-key") != nil {
		return nil
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	r.Fields = append(r.Fields, h1.Field{
		Name: []byte("sec-websocket-key"), Value: base64.StdEncoding.AppendEncode(nil, nonce[:]),
	})
	return nil
}
