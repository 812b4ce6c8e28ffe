package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// calls is the load that "grpc begin" made.
type calls struct {
	conn *grpc.ClientConn
	stop context.CancelFunc
	done chan error
	made int
}

// grpcCommand calls a service of gRPC through the edge, in every way: one
// message and one back, a conversation, trailers, and a status that is no OK.
func grpcCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: grpc [plain|tls|begin] HOST, grpc end")
	}
	load := ts.Value("calls").(*calls)
	switch args[0] {
	case "end":
		load.stop()
		err := <-load.done
		load.conn.Close()
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%d calls\n", load.made)
	case "begin":
		ctx, stop := context.WithCancel(context.Background())
		ts.Defer(stop)
		*load = calls{conn: grpcTo(ts, "plain", args[1]), stop: stop, done: make(chan error, 1)}
		ts.Check(say(ctx, load.conn))
		go func() { load.done <- load.on(ctx) }()
	default:
		conn := grpcTo(ts, args[0], args[1])
		defer conn.Close()
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		ts.Check(say(ctx, conn))
		ts.Check(talk(ctx, conn))
	}
}

// on calls again and again until ctx ends.
func (c *calls) on(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := say(ctx, c.conn); err != nil && ctx.Err() == nil {
			return err
		}
		c.made++
	}
	return nil
}

func grpcTo(ts *testscript.TestScript, how, host string) *grpc.ClientConn {
	address, trust := ts.Getenv("SLIPWAY_HTTP"), insecure.NewCredentials()
	if how == "tls" {
		pem, err := os.ReadFile(filepath.Join(ts.Getenv("SLIPWAY_STATE"), "cert", "ca.pem"))
		ts.Check(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		address, trust = ts.Getenv("SLIPWAY_HTTPS"), credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: host})
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(trust), grpc.WithAuthority(host))
	ts.Check(err)
	return conn
}

func say(ctx context.Context, conn *grpc.ClientConn) error {
	var trailer metadata.MD
	out := new(wrapperspb.StringValue)
	if err := conn.Invoke(ctx, "/Echo/Say", wrapperspb.String("hello"), out, grpc.Trailer(&trailer)); err != nil {
		return err
	}
	if out.Value != "hello" || len(trailer["x-messages"]) != 1 || trailer["x-messages"][0] != "1" {
		return fmt.Errorf("got %q with %v", out.Value, trailer)
	}
	return nil
}

func talk(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/Echo/Talk")
	if err != nil {
		return err
	}
	out := new(wrapperspb.StringValue)
	for i := range 10 { // each is answered before the next is sent
		word := fmt.Sprint("word ", i)
		if err := stream.SendMsg(wrapperspb.String(word)); err != nil {
			return err
		}
		if err := stream.RecvMsg(out); err != nil || out.Value != word {
			return fmt.Errorf("got %q, %w", out.Value, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(out); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the end came %w", err)
	}
	if got := stream.Trailer()["x-messages"]; len(got) != 1 || got[0] != "10" {
		return fmt.Errorf("got the trailers %v", stream.Trailer())
	}
	return nil
}
