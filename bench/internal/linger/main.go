// Command linger is clients that stay: WebSockets that listen, and long polls.
// Until it is interrupted each begins anew when it ends; then it prints how many
// polls there were and failed, and how many WebSockets were told that they end
// (1001) and how many were not.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
)

type counts struct{ polls, failed, opened, told, cut atomic.Int64 }

func main() {
	address := flag.String("address", "", "host:port of the edge")
	host := flag.String("host", "", "the app's")
	each := flag.Int("each", 40, "clients of each kind")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var c counts
	var all sync.WaitGroup
	for range *each {
		all.Go(func() {
			for ctx.Err() == nil {
				c.poll(ctx, *address, *host)
			}
		})
		all.Go(func() {
			for ctx.Err() == nil {
				c.socket(ctx, *address, *host)
			}
		})
	}
	all.Wait()
	fmt.Println(c.polls.Load(), c.failed.Load(), c.opened.Load(), c.told.Load(), c.cut.Load())
}

// poll is one long poll; what the end of the measurement breaks does not count.
func (c *counts) poll(ctx context.Context, address, host string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/poll", nil)
	if err != nil {
		panic(err)
	}
	req.Host = host
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	if ctx.Err() != nil {
		return
	}
	if c.polls.Add(1); err != nil || res.StatusCode != http.StatusOK {
		c.failed.Add(1)
	}
}

// socket is one WebSocket, from its beginning to its end.
func (c *counts) socket(ctx context.Context, address, host string) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", host)
	rd := bufio.NewReader(conn)
	res, err := http.ReadResponse(rd, nil) //nolint:bodyclose // an upgrade has none
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		return
	}
	c.opened.Add(1)
	switch err := listen(rd); {
	case errors.Is(err, errTold):
		c.told.Add(1)
	case ctx.Err() == nil:
		c.cut.Add(1)
	}
}

var errTold = errors.New("it was told to go")

// listen reads frames until there are no more.
func listen(rd *bufio.Reader) error {
	head := make([]byte, 2)
	for {
		if _, err := io.ReadFull(rd, head); err != nil {
			return err
		}
		if head[0]&0xf == 8 {
			return errTold
		}
		if _, err := rd.Discard(int(head[1] & 0x7f)); err != nil {
			return err
		}
	}
}
