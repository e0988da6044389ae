-- What a plan cannot say, and what a team wants from PostgreSQL: rules that hold whoever writes.
-- Midflight's `prepare` makes the tables; this runs after the backfill, and may be repeated. NOT VALID takes no long
-- lock: new rows are checked at once, the old ones by VALIDATE, while everybody goes on writing.
do $$
begin
    if not exists (select from pg_constraint where conname = 'members_balance_check'
                   and conrelid = 'members'::regclass) then
        alter table members add constraint members_balance_check check (balance >= 0) not valid;
        alter table transactions add constraint transactions_kind_check
            check (kind in ('opening', 'earn', 'redeem', 'transfer')) not valid;
        alter table transactions add constraint transactions_status_check
            check (status in ('open', 'closed', 'settled') and (status = 'settled') = (settlement_id is not null))
            not valid;
        alter table transaction_lines add constraint transaction_lines_quantity_check
            check (quantity > 0) not valid;
    end if;
end $$;

alter table members validate constraint members_balance_check;
alter table transactions validate constraint transactions_kind_check;
alter table transactions validate constraint transactions_status_check;
alter table transaction_lines validate constraint transaction_lines_quantity_check;
