module rmqgateway/bench/generating

go 1.23
