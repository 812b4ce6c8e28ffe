package h2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h2"
)

// forward is the least of proxies: each stream to the pool, and back.
func forward(pool *h2.Pool) func(*h2.Stream) {
	return func(in *h2.Stream) {
		req := in.Request()
		out, err := pool.Open(context.Background(), req, h1.Onward{Body: req.Length != 0, Length: req.Length})
		if err != nil {
			answer(in, 502, err.Error())
			return
		}
		defer out.Release()
		in.OnCancel(func() { out.Reset(h2.Cancel) })
		sent := make(chan struct{})
		defer func() { <-sent }()
		defer out.Reset(h2.Cancel)
		go func() {
			defer close(sent)
			if pump(out, in) == nil && req.Length != 0 {
				_ = out.End(in.Trailers())
			}
		}()
		res, err := out.Head()
		if err != nil {
			answer(in, 502, err.Error())
			return
		}
		if in.Answer(res, h1.Back{Length: res.Length, Bodiless: res.Length == 0}) != nil || res.Length == 0 {
			return
		}
		if pump(in, out) != nil {
			in.Reset(h2.Internal)
			return
		}
		_ = in.End(out.Trailers())
	}
}

func pump(dst, src *h2.Stream) error {
	for {
		piece, err := src.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := dst.Write(piece); err != nil {
			return err
		}
		if !src.Ready() {
			dst.Flush()
		}
	}
}

// chat is a service of gRPC without generated code.
var chat = &grpc.ServiceDesc{
	ServiceName: "Chat", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(wrapperspb.StringValue)
		if err := dec(in); err != nil {
			return nil, err
		}
		md, _ := metadata.FromIncomingContext(ctx)
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-after", "done"))
		if in.Value == "fail" {
			return nil, status.Error(codes.NotFound, "nobody: 100% sure")
		}
		return wrapperspb.String(fmt.Sprint(in.Value, md["x-before"])), nil
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Talk", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
		for {
			in := new(wrapperspb.StringValue)
			if err := stream.RecvMsg(in); errors.Is(err, io.EOF) {
				stream.SetTrailer(metadata.Pairs("x-after", "talked"))
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(in); err != nil {
				return err
			}
		}
	}}},
}

func TestGRPCGoesThroughBothSides(t *testing.T) {
	server := grpc.NewServer()
	server.RegisterService(chat, struct{}{})
	ln := listen(t)
	go server.Serve(ln)
	t.Cleanup(server.Stop)
	pool, dialed := dial(t, ln.Addr().String(), h2.Options{})
	s := serve(t, h2.Options{}, forward(pool))
	conn, err := grpc.NewClient("passthrough:///"+s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("a.test"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	talks(t, conn)
	if dialed.Load() != 1 {
		t.Errorf("there were %d connections", dialed.Load())
	}
}

// talks uses every kind of call of chat.
func talks(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	var trailer metadata.MD
	out := new(wrapperspb.StringValue)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-before", "b")
	if err := conn.Invoke(ctx, "/Chat/Say", wrapperspb.String("hello"), out, grpc.Trailer(&trailer)); err != nil {
		t.Error(err)
	}
	if out.Value != "hello[b]" || fmt.Sprint(trailer["x-after"]) != "[done]" {
		t.Errorf("got %q %v", out.Value, trailer)
	}
	err := conn.Invoke(ctx, "/Chat/Say", wrapperspb.String("fail"), out)
	if status.Code(err) != codes.NotFound || status.Convert(err).Message() != "nobody: 100% sure" {
		t.Errorf("got %v", err)
	}
	if err = conn.Invoke(ctx, "/Chat/None", wrapperspb.String("x"), out); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/Chat/Talk")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 { // each answered before the next is sent
		word := fmt.Sprint("word ", i)
		if err := stream.SendMsg(wrapperspb.String(word)); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(out); err != nil || out.Value != word {
			t.Fatalf("got %q %v", out.Value, err)
		}
	}
	_ = stream.CloseSend()
	if err := stream.RecvMsg(out); !errors.Is(err, io.EOF) || fmt.Sprint(stream.Trailer()["x-after"]) != "[talked]" {
		t.Errorf("got %v %v", err, stream.Trailer())
	}
}
