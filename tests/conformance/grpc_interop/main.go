// One of gRPC's interop cases against a server without TLS: those of google.golang.org/grpc/interop as it has them,
// and the four of compression, which it lacks, from gRPC's interop-test-descriptions.md. Exit status 0: passed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

// sizes notes whether each message that came was shorter on the wire than in memory.
type sizes struct{ compressed []bool }

func (s *sizes) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (s *sizes) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (s *sizes) HandleConn(context.Context, stats.ConnStats)                       {}
func (s *sizes) HandleRPC(_ context.Context, event stats.RPCStats) {
	if in, ok := event.(*stats.InPayload); ok {
		s.compressed = append(s.compressed, in.CompressedLength < in.Length)
	}
}

func flagOf(value bool) *testpb.BoolValue { return &testpb.BoolValue{Value: value} }

func payload(size int) *testpb.Payload { return &testpb.Payload{Body: make([]byte, size)} }

func clientCompressedUnary(ctx context.Context, client testpb.TestServiceClient) {
	request := &testpb.SimpleRequest{ExpectCompressed: flagOf(true), ResponseSize: 314159, Payload: payload(271828)}
	if _, err := client.UnaryCall(ctx, request); status.Code(err) != codes.InvalidArgument {
		fail("the probe: %v", err)
	}
	reply, err := client.UnaryCall(ctx, request, grpc.UseCompressor(gzip.Name))
	if err != nil || len(reply.GetPayload().GetBody()) != 314159 {
		fail("compressed: %v", err)
	}
	request.ExpectCompressed = flagOf(false)
	if reply, err = client.UnaryCall(ctx, request); err != nil || len(reply.GetPayload().GetBody()) != 314159 {
		fail("not compressed: %v", err)
	}
}

func serverCompressedUnary(ctx context.Context, client testpb.TestServiceClient, seen *sizes) {
	for _, wanted := range []bool{true, false} {
		seen.compressed = nil
		request := &testpb.SimpleRequest{ResponseCompressed: flagOf(wanted), ResponseSize: 314159, Payload: payload(271828)}
		reply, err := client.UnaryCall(ctx, request)
		if err != nil || len(reply.GetPayload().GetBody()) != 314159 {
			fail("%v", err)
		}
		if len(seen.compressed) != 1 || seen.compressed[0] != wanted {
			fail("compressed: %v instead of %v", seen.compressed, wanted)
		}
	}
}

func clientCompressedStreaming(ctx context.Context, client testpb.TestServiceClient) {
	stream, err := client.StreamingInputCall(ctx)
	if err != nil {
		fail("%v", err)
	}
	stream.Send(&testpb.StreamingInputCallRequest{ExpectCompressed: flagOf(true), Payload: payload(27182)})
	if _, err = stream.CloseAndRecv(); status.Code(err) != codes.InvalidArgument {
		fail("the probe: %v", err)
	}
	if stream, err = client.StreamingInputCall(ctx, grpc.UseCompressor(gzip.Name)); err != nil {
		fail("%v", err)
	}
	if err = stream.Send(&testpb.StreamingInputCallRequest{ExpectCompressed: flagOf(true), Payload: payload(27182)}); err != nil {
		fail("%v", err)
	}
	// The case wants this one uncompressed, which Go's client cannot do: tests/unit has a stream with both kinds.
	if err = stream.Send(&testpb.StreamingInputCallRequest{ExpectCompressed: flagOf(true), Payload: payload(45904)}); err != nil {
		fail("%v", err)
	}
	reply, err := stream.CloseAndRecv()
	if err != nil || reply.GetAggregatedPayloadSize() != 73086 {
		fail("%v: %v", reply, err)
	}
}

func serverCompressedStreaming(ctx context.Context, client testpb.TestServiceClient, seen *sizes) {
	stream, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{
		ResponseParameters: []*testpb.ResponseParameters{
			{Compressed: flagOf(true), Size: 31415},
			{Compressed: flagOf(false), Size: 92653},
		},
	})
	if err != nil {
		fail("%v", err)
	}
	for _, wanted := range []int{31415, 92653} {
		reply, err := stream.Recv()
		if err != nil || len(reply.GetPayload().GetBody()) != wanted {
			fail("%v", err)
		}
	}
	if _, err = stream.Recv(); err != io.EOF {
		fail("the end: %v", err)
	}
	if len(seen.compressed) != 2 || !seen.compressed[0] || seen.compressed[1] {
		fail("compressed: %v", seen.compressed)
	}
}

func soak(ctx context.Context, address string, options []grpc.DialOption, perCall bool) {
	shared, err := grpc.NewClient(address, options...)
	if err != nil {
		fail("%v", err)
	}
	defer shared.Close()
	interop.DoSoakTest(ctx, interop.SoakTestConfig{
		RequestSize: 271828, ResponseSize: 314159, PerIterationMaxAcceptableLatency: 5 * time.Second,
		OverallTimeout: 20 * time.Second, ServerAddr: address, NumWorkers: 2, Iterations: 20,
		ChannelForTest: func() (*grpc.ClientConn, func()) {
			if !perCall {
				return shared, func() {}
			}
			own, err := grpc.NewClient(address, options...)
			if err != nil {
				fail("%v", err)
			}
			return own, func() { own.Close() }
		},
	})
}

func main() {
	address := flag.String("address", "", "host:port")
	name := flag.String("case", "", "name of the case")
	flag.Parse()
	seen := &sizes{}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(seen)}
	connection, err := grpc.NewClient(*address, options...)
	if err != nil {
		fail("%v", err)
	}
	defer connection.Close()
	client := testpb.NewTestServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cases := map[string]func(){
		"empty_unary":                 func() { interop.DoEmptyUnaryCall(ctx, client) },
		"large_unary":                 func() { interop.DoLargeUnaryCall(ctx, client) },
		"client_streaming":            func() { interop.DoClientStreaming(ctx, client) },
		"server_streaming":            func() { interop.DoServerStreaming(ctx, client) },
		"ping_pong":                   func() { interop.DoPingPong(ctx, client) },
		"empty_stream":                func() { interop.DoEmptyStream(ctx, client) },
		"timeout_on_sleeping_server":  func() { interop.DoTimeoutOnSleepingServer(ctx, client) },
		"cancel_after_begin":          func() { interop.DoCancelAfterBegin(ctx, client) },
		"cancel_after_first_response": func() { interop.DoCancelAfterFirstResponse(ctx, client) },
		"status_code_and_message":     func() { interop.DoStatusCodeAndMessage(ctx, client) },
		"special_status_message":      func() { interop.DoSpecialStatusMessage(ctx, client) },
		"custom_metadata":             func() { interop.DoCustomMetadata(ctx, client) },
		"unimplemented_method":        func() { interop.DoUnimplementedMethod(ctx, connection) },
		"unimplemented_service": func() {
			interop.DoUnimplementedService(ctx, testpb.NewUnimplementedServiceClient(connection))
		},
		"client_compressed_unary":     func() { clientCompressedUnary(ctx, client) },
		"server_compressed_unary":     func() { serverCompressedUnary(ctx, client, seen) },
		"client_compressed_streaming": func() { clientCompressedStreaming(ctx, client) },
		"server_compressed_streaming": func() { serverCompressedStreaming(ctx, client, seen) },
		"rpc_soak":                    func() { soak(ctx, *address, options, false) },
		"channel_soak":                func() { soak(ctx, *address, options, true) },
	}
	run, known := cases[*name]
	if !known {
		fail("there is no case %s", *name)
	}
	run()
}
