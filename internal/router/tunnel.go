package router

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// upgrade hands the protocol's switch back and carries what the two ends say
// then, until both have ended. The request is open at its instance meanwhile.
func (x *exchange) upgrade(l link) error {
	if x.req.Upgrade == nil || x.res.Upgrade == nil {
		return errGarbage // nobody asked for it
	}
	x.tells = x.back(&x.res)
	if x.client.answer(&x.res, &x.tells) != nil || x.client.flush() != nil {
		return nil // it is gone
	}
	a, b := x.client.tunnel(), l.tunnel()
	if a == nil || b == nil {
		x.client.abort()
		return nil
	}
	t := &tunnel{client: a, app: b, socket: isWebSocket(x.res.Upgrade)}
	x.inst.tunnels().add(t, x.route.edge.Timeouts.Upgraded)
	defer x.inst.tunnels().remove(t)
	join(t.client, t.app, x.quietLimit(), t.say)
	return nil
}

// quietLimit is how long an upgraded connection may carry nothing.
func (x *exchange) quietLimit() time.Duration {
	if own := x.route.edge.Timeouts.Idle; own > 0 {
		return own
	}
	return x.router.opt.UpgradeIdle
}

// join carries what two wires say to one another, the end of either direction
// by itself, until both have ended or nothing was said for too long. say writes
// what a is told.
func join(a, b *wire, limit time.Duration, say func([]byte) error) {
	quiet := newQuiet(limit, a.conn, b.conn)
	defer quiet.end()
	var both sync.WaitGroup
	both.Go(func() { pour(b, a, quiet, b.say) })
	pour(a, b, quiet, say)
	both.Wait()
}

// pour brings one direction to its end. While nothing is said it holds no
// buffer, and no pipe as splice would.
func pour(to, from *wire, quiet *quiet, say func([]byte) error) {
	for {
		if text := from.buffered(); len(text) > 0 {
			quiet.said()
			if say(text) != nil {
				break
			}
			from.drop()
		}
		err := from.fill()
		if err == nil {
			continue
		}
		if half, ok := to.conn.(interface{ CloseWrite() error }); ok && errors.Is(err, io.EOF) {
			_ = half.CloseWrite()
			return
		}
		break
	}
	// It broke off: neither can go on.
	_, _ = closeBare(to.conn), closeBare(from.conn)
}

// say writes all of text.
func (w *wire) say(text []byte) error {
	_, err := w.conn.Write(text)
	return err
}

// closeBare closes a connection without a farewell that could block.
func closeBare(conn net.Conn) error {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return secure.NetConn().Close()
	}
	return conn.Close()
}
