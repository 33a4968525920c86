module rmqgateway/bench/generator_grpc

go 1.25

require (
	github.com/apache/rocketmq-clients/golang/v5 v5.1.3
	google.golang.org/grpc v1.72.0
	google.golang.org/protobuf v1.36.6
	rmqgateway/bench/generating v0.0.0
)

require (
	golang.org/x/net v0.39.0 // indirect
	golang.org/x/sys v0.32.0 // indirect
	golang.org/x/text v0.24.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20250422160041-2d3770c4ea7f // indirect
)

replace rmqgateway/bench/generating => ../generating
