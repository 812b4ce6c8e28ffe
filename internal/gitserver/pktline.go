package gitserver

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxPacket is the longest pkt-line, header included (gitprotocol-common).
const maxPacket = 65520

// The bands of a multiplexed answer (gitprotocol-pack, side-band-64k).
const (
	bandProgress = 2
	bandFatal    = 3
)

var errPacket = errors.New("not a pkt-line")

// readPacket reads one pkt-line into buf, which must hold maxPacket bytes, and
// returns it with its header. io.EOF means that there was none.
func readPacket(r io.Reader, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, buf[:4]); err != nil {
		return nil, err
	}
	size, err := strconv.ParseUint(string(buf[:4]), 16, 16)
	switch {
	case err != nil || size == 3 || size > maxPacket:
		return nil, errPacket
	case size < 4: // flush, delimiter, response end
		return buf[:4], nil
	}
	if _, err := io.ReadFull(r, buf[4:size]); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return buf[:size], nil
}

// packet frames a payload of at most maxPacket-4 bytes.
func packet(payload string) []byte {
	return fmt.Appendf(nil, "%04x%s", len(payload)+4, payload)
}

// errorPacket ends a conversation before it began: the client prints
// "fatal: remote error: text" and exits with 128.
func errorPacket(text string) []byte { return packet("ERR " + text) }

// bandPacket carries text to the user beside the conversation.
func bandPacket(band byte, text string) []byte { return packet(string(rune(band)) + text) }

// flushPacket ends a list.
const flushPacket = "0000"
