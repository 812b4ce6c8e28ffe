package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// patience is how long an answer may take.
const patience = 20 * time.Second

// single is a connection of HTTP/1.1. It knows whether the edge ended it while
// it waited, as a client does that looks before it asks.
type single struct {
	net.Conn
	host string
	rd   *bufio.Reader
	seen chan error // what came next: nil, or the end
}

func (b *bench) dial(secure bool) (*single, error) {
	address := b.plain
	if secure {
		address = b.tls
	}
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	if secure {
		conn = tls.Client(conn, b.trust("http/1.1"))
	}
	s := &single{Conn: conn, host: b.host, rd: bufio.NewReaderSize(conn, 2048)}
	s.waits()
	return s, nil
}

// waits begins to wait for what comes.
func (s *single) waits() {
	s.seen = make(chan error, 1)
	go func(seen chan error) {
		if with, ok := s.Conn.(*tls.Conn); ok {
			if err := with.HandshakeContext(context.Background()); err != nil {
				seen <- err
				return
			}
		}
		_, err := s.rd.Peek(1)
		seen <- err
	}(s.seen)
}

func (s *single) ask() (last bool, err error) {
	select {
	case <-s.seen: //nolint:errcheck // whatever came was not asked for
		return false, errLeft
	default:
	}
	if err := s.request("/", ""); err != nil {
		return false, err
	}
	answer, err := s.answer()
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return false, err
	}
	if answer.StatusCode != http.StatusOK {
		return false, errors.New(answer.Status)
	}
	s.waits()
	return answer.Close, nil
}

func (s *single) request(path, more string) error {
	_, err := fmt.Fprintf(s, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, s.host, more)
	return err
}

func (s *single) answer() (*http.Response, error) {
	if err := s.comes(); err != nil {
		return nil, err
	}
	return http.ReadResponse(s.rd, nil)
}

// comes waits for the first byte of what comes next.
func (s *single) comes() error {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case err := <-s.seen:
		return err
	case <-late.C:
		return errors.New("no answer came")
	}
}

func (s *single) close() { _ = s.Close() }

// socket is a WebSocket whose app sends back what it is sent.
type socket struct{ *single }

func (b *bench) dialSocket() (*socket, error) {
	s, err := b.dial(false)
	if err != nil {
		return nil, err
	}
	if err := s.request("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"); err != nil {
		return nil, err
	}
	answer, err := s.answer() //nolint:bodyclose // it has none
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(answer.Status)
	}
	s.waits()
	return &socket{s}, nil
}

func (s *socket) ask() (last bool, err error) {
	select {
	case err := <-s.seen:
		return false, s.parting(err)
	default:
	}
	if _, err := s.Write([]byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i'}); err != nil {
		return false, err
	}
	if err := s.comes(); err != nil {
		return false, err
	}
	echo := make([]byte, 8)
	if _, err := io.ReadFull(s.rd, echo); err != nil {
		return false, err
	}
	s.waits()
	return false, nil
}

// parting is errLeft if the connection was ended in the words of its protocol.
func (s *socket) parting(err error) error {
	if err != nil {
		return fmt.Errorf("cut off: %w", err)
	}
	frame, err := s.rd.Peek(4)
	if err == nil && frame[0] == 0x88 && frame[2] == 0x03 && (frame[3] == 0xE9 || frame[3] == 0xF4) {
		return errLeft
	}
	return fmt.Errorf("it said %x, %w", frame, err)
}

// double is a connection of HTTP/2, by net/http's own client, which opens
// another one once it was told to.
type double struct {
	client *http.Client
	host   string
	dials  atomic.Int64
	known  int64
}

func (b *bench) dial2() *double {
	d := &double{host: b.host}
	dialer := &tls.Dialer{Config: b.trust("h2")}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	d.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		Protocols: &protocols, ReadBufferSize: 2048, WriteBufferSize: 2048,
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d.dials.Add(1)
			return dialer.DialContext(ctx, "tcp", b.tls)
		},
	}}
	d.known = 1
	return d
}

func (d *double) ask() (last bool, err error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+d.host+"/", nil) // which is not repeated in silence
	if err != nil {
		return false, err
	}
	answer, err := d.client.Do(request)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return false, err
	}
	switch {
	case answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2:
		return false, errors.New(answer.Proto + " " + answer.Status)
	case d.dials.Load() > d.known:
		return false, errLeft
	}
	return false, nil
}

func (d *double) close() { d.client.CloseIdleConnections() }
